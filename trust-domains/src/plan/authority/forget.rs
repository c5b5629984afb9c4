//! Forgetting: what has ended, and what was never needed.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, ForgetReason};
use super::line::Line;
use super::state::{AuthorityKind, AuthorityState, Phase};
use crate::plan::clock_evidence::ClockVerdict;

impl<'a> Planning<'a> {
    pub(super) fn forget(&mut self, lines: &[&Line<'_>]) {
        let due = |line: &Line<'_>| {
            let reasons = line
                .members
                .iter()
                .filter_map(|member| Some((member.id.clone(), self.forget_reason(line, member)?)));
            reasons.collect::<Vec<_>>()
        };
        let due: Vec<_> = lines.iter().flat_map(|line| due(line)).collect();
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

    pub(super) fn forget_reason(&self, line: &Line<'_>, member: &AuthorityState) -> Option<ForgetReason> {
        let not_after = member.not_after;
        let ended = (self.now > not_after + self.policy.clock.skew).then_some(ForgetReason::Ended { not_after });
        match member.phase {
            // Nobody takes its place: it goes when it has ended.
            Phase::Active if !self.is_planned(member.kind) => ended,
            Phase::Active => None,
            Phase::Prepared if !self.is_planned(member.kind) => Some(ForgetReason::NotNeeded),
            Phase::Prepared => {
                // While no root is active nothing can be judged; one that begins in a moment was made before the clock was set back a little.
                let (is_under_root, can_judge) = match member.kind {
                    AuthorityKind::X509Issuing => (self.root.is_some_and(|root| member.issuer.as_ref() == Some(&root.id)), self.root.is_some()),
                    AuthorityKind::X509Root | AuthorityKind::Jwt | AuthorityKind::Wit => (true, true),
                };
                let is_useful = is_under_root && member.not_before <= self.now + self.policy.clock.skew && line.is_wanted(member) && line.is_worth(not_after);
                (can_judge && !is_useful && !self.is_activated(member)).then_some(ForgetReason::NotNeeded)
            }
            Phase::Old | Phase::Tainted | Phase::Revoked => ended,
        }
    }

    /// Returns whether authorities of this kind are made and sign here.
    pub(super) fn is_planned(&self, kind: AuthorityKind) -> bool {
        match kind {
            AuthorityKind::Wit => self.policy.wit.is_some(),
            AuthorityKind::X509Root | AuthorityKind::X509Issuing | AuthorityKind::Jwt => true,
        }
    }

    pub(super) fn is_activated(&self, authority: &AuthorityState) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, AuthorityAction::Activate { id, .. } if *id == authority.id))
    }
}
