//! Forgetting: what has ended, and what was never needed.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, ForgetReason};
use super::line::Line;
use super::orders::Lines;
use super::state::{Asked, AuthorityKind, AuthorityState, Phase};
use crate::plan::clock_evidence::ClockVerdict;

impl<'a> Planning<'a> {
    pub(super) fn forget(&mut self, lines: &Lines<'a>) {
        let due = |line: &&Line<'_>| {
            let reasons = line
                .members
                .iter()
                .filter_map(|member| Some((member.id.clone(), self.forget_reason(line, member)?)));
            reasons.collect::<Vec<_>>()
        };
        let due: Vec<_> = lines.all().iter().flat_map(due).collect();
        match self.verdict {
            ClockVerdict::Agreed => self.actions.extend(due.into_iter().map(|(id, reason)| AuthorityAction::Forget { id, reason })),
            ClockVerdict::Jumped { last_stored, by_s } | ClockVerdict::Behind { last_stored, by_s } => {
                self.problems.push(AuthorityProblem::ClockJumped {
                    last_stored,
                    by_s,
                    held: due.len(),
                });
            }
        }
    }

    fn forget_reason(&self, line: &Line<'a>, member: &AuthorityState) -> Option<ForgetReason> {
        let not_after = member.not_after;
        let ended = (self.now > not_after + self.policy.clock.skew).then_some(ForgetReason::Ended { not_after });
        match member.phase {
            // Nobody takes its place: it goes when it has ended.
            Phase::Active if !self.is_planned(member.kind) => ended,
            Phase::Active => None,
            // An order forgets it, whatever the clock says.
            Phase::Prepared if line.is_condemned(member) => None,
            Phase::Prepared if !self.is_planned(member.kind) => Some(ForgetReason::NotNeeded),
            Phase::Prepared => self.is_useless(line, member).then_some(ForgetReason::NotNeeded),
            Phase::Old => ended
                .or_else(|| {
                    self.is_from_the_future(member)
                        .then_some(ForgetReason::FromTheFuture { not_before: member.not_before })
                })
                .or_else(|| self.is_bare(line, member).then_some(ForgetReason::NothingUnder)),
            Phase::Tainted | Phase::Revoked => ended,
        }
    }

    /// Returns whether a prepared one brings no gain. One that begins in a moment was made before the clock was set back a little; while no root is active
    /// nothing under one can be judged.
    fn is_useless(&self, line: &Line<'a>, member: &AuthorityState) -> bool {
        let (is_under_root, can_judge) = match member.kind {
            AuthorityKind::X509Issuing => (self.root.is_some_and(|root| member.issuer.as_ref() == Some(&root.id)), self.root.is_some()),
            AuthorityKind::X509Root | AuthorityKind::Jwt | AuthorityKind::Wit => (true, true),
        };
        let is_asked_for = member.asked != Asked::Nothing && self.now < member.not_after;
        let has_begun = member.not_before <= self.now + self.policy.clock.skew;
        let is_useful = is_under_root && has_begun && line.is_wanted(member) && (is_asked_for || line.is_worth(member.not_after));
        can_judge && !is_useful && !self.is_activated(member)
    }

    /// Returns whether a clock far ahead made it: nothing that it signed is valid by the clock as it is believed now.
    fn is_from_the_future(&self, member: &AuthorityState) -> bool {
        member.not_before > self.now + self.policy.clock.max_jump
    }

    /// Returns whether it is an old root without an issuing CA: those under it have ended, and with them all that they signed.
    fn is_bare(&self, line: &Line<'a>, member: &AuthorityState) -> bool {
        member.kind == AuthorityKind::X509Root && self.root.is_some() && !line.is_condemned(member) && !self.has_issuing_under(&member.id)
    }

    /// Returns whether authorities of this kind are made and sign here.
    pub(super) fn is_planned(&self, kind: AuthorityKind) -> bool {
        match kind {
            AuthorityKind::Wit => self.policy.wit.is_some(),
            AuthorityKind::X509Root | AuthorityKind::X509Issuing | AuthorityKind::Jwt => true,
        }
    }

    fn is_activated(&self, authority: &AuthorityState) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, AuthorityAction::Activate { id, .. } if *id == authority.id))
    }
}
