//! How far an order is, step by step, for people and scripts: read off the phases, as the plan does.

use super::order::{Extent, Order};
use super::policy::AuthorityPolicy;
use super::state::{AuthoritiesState, AuthorityKind, AuthorityState, Missing, Phase, Publication};
use super::{Planning, orders::Lines};
use crate::duration::format_duration;
use crate::plan::clock_evidence::ClockVerdict;
use crate::timestamp::Timestamp;
use crate::wire::authorities::{ReplacementStep, StepKind, StepState};

/// Returns the steps of an order that is among those of this state, and how far each is.
#[must_use]
pub fn steps(now: Timestamp, order: &Order, state: &AuthoritiesState, policy: &AuthorityPolicy) -> Vec<ReplacementStep> {
    let mut planning = Planning::new(now, ClockVerdict::Agreed, state, policy);
    let lines = planning.lines();
    let progress = Progress {
        order,
        planning: &planning,
        lines: &lines,
    };
    let mut open = StepState::Running;
    let step = |what: StepKind| {
        let state = match progress.is_done(what) {
            // Whatever comes after an open step waits for it.
            true if open == StepState::Running => StepState::Done,
            _ => std::mem::replace(&mut open, StepState::Pending),
        };
        progress.show(what, state)
    };
    progress.kinds().into_iter().map(step).collect()
}

struct Progress<'a> {
    order: &'a Order,
    planning: &'a Planning<'a>,
    lines: &'a Lines<'a>,
}

impl<'a> Progress<'a> {
    fn kinds(&self) -> Vec<StepKind> {
        use StepKind::{Acknowledge, Activate, Issuing, Prepare, Reissue, Revoked, Taint, Withdraw};
        let mut kinds = vec![Prepare];
        if self.order.line() != AuthorityKind::X509Issuing || self.planning.state.crls_in_use {
            kinds.push(Acknowledge);
        }
        kinds.push(Activate);
        if self.order.line() == AuthorityKind::X509Root {
            kinds.push(Issuing);
        }
        match self.order.extent {
            Extent::Replace => {}
            Extent::Taint => kinds.extend([Taint, Reissue]),
            Extent::Relieve | Extent::Withdraw => kinds.extend([Taint, Reissue, Withdraw, Revoked]),
        }
        kinds
    }

    fn is_done(&self, what: StepKind) -> bool {
        let settled = |member: &AuthorityState| member.publication.as_ref().is_some_and(|published| self.planning.is_settled(published));
        match what {
            StepKind::Prepare => self.successor().is_some(),
            StepKind::Acknowledge | StepKind::Activate => self.successor().is_some_and(|successor| successor.phase == Phase::Active),
            StepKind::Issuing => self.planning.is_succeeded(AuthorityKind::X509Root, self.lines),
            StepKind::Taint => self.going().all(|member| matches!(member.phase, Phase::Tainted | Phase::Revoked)),
            StepKind::Reissue => self
                .going()
                .all(|member| member.phase == Phase::Revoked || (member.phase == Phase::Tainted && settled(member))),
            StepKind::Withdraw => self.going().all(|member| member.phase == Phase::Revoked),
            StepKind::Revoked => self.going().all(|member| member.phase == Phase::Revoked && settled(member)),
        }
    }

    fn going(&self) -> impl Iterator<Item = &'a AuthorityState> {
        let authorities = self.planning.state.authorities.iter();
        authorities.filter(|authority| self.order.replaces.contains(&authority.id))
    }

    /// Returns what signs in the place of what goes, or will.
    fn successor(&self) -> Option<&'a AuthorityState> {
        let line = self.lines.of(self.order.line());
        line.active().filter(|active| !line.is_condemned(active)).or_else(|| line.prepared())
    }

    fn show(&self, what: StepKind, state: StepState) -> ReplacementStep {
        let waits = (state == StepState::Running).then(|| self.waits(what)).flatten();
        let (missing, until) = waits.map_or((Missing::default(), None), |(missing, until)| (missing, Some(until)));
        ReplacementStep {
            what,
            state,
            text: self.text(what),
            waiting_for: missing.some().to_vec(),
            waiting_for_count: missing.count(),
            until,
        }
    }

    /// Returns who is waited for in a step that is under way, and until when.
    fn waits(&self, what: StepKind) -> Option<(Missing, Timestamp)> {
        let policy = self.planning.policy;
        let urgent = |published: &Publication| (published.missing_connected.clone(), published.at + policy.emergency_ack_deadline);
        match what {
            StepKind::Acknowledge => {
                let published = self.successor()?.publication.as_ref()?;
                Some(match self.order.is_emergency() {
                    true => urgent(published),
                    false => (published.missing.clone(), published.at + self.planned_wait().max(published.refreshes)),
                })
            }
            StepKind::Reissue | StepKind::Revoked => {
                let open = self
                    .going()
                    .find_map(|member| member.publication.as_ref().filter(|published| !self.planning.is_settled(published)));
                open.map(urgent)
            }
            StepKind::Activate | StepKind::Issuing | StepKind::Prepare | StepKind::Taint | StepKind::Withdraw => None,
        }
    }

    fn planned_wait(&self) -> std::time::Duration {
        let policy = self.planning.policy;
        let tokens = |policy: &super::TokenPolicy| policy.ack_deadline.max(policy.refreshes);
        match self.order.line() {
            AuthorityKind::X509Root => policy.root.ack_deadline.max(policy.root.refreshes),
            AuthorityKind::X509Issuing => policy.root.ack_deadline,
            AuthorityKind::Jwt => tokens(&policy.jwt),
            AuthorityKind::Wit => tokens(&policy.wit.unwrap_or_default()),
        }
    }

    fn text(&self, what: StepKind) -> String {
        let noun = noun(self.order.line());
        let replaces = self.order.replaces.as_slice();
        let old = match replaces {
            [one] => format!("the old {noun} {one}"),
            several => format!("{} old {noun}s", several.len()),
        };
        let of_many = |one: &'static str, many: &'static str| if replaces.len() == 1 { one } else { many };
        match (what, self.order.is_emergency()) {
            (StepKind::Prepare, _) => format!("a new {noun} is made and published"),
            (StepKind::Acknowledge, true) => format!(
                "connected nodes acknowledge it, for at most {}; partners are not waited for",
                format_duration(self.planning.policy.emergency_ack_deadline)
            ),
            (StepKind::Acknowledge, false) => format!(
                "every node with an unexpired SVID acknowledges it, and those outside have time to fetch it, for at most {}",
                format_duration(self.planned_wait())
            ),
            (StepKind::Activate, _) => format!("the new {noun} signs; {old} {} no more", of_many("signs", "sign")),
            (StepKind::Issuing, _) => "a new issuing CA signs under the new root".to_owned(),
            (StepKind::Taint, _) => format!(
                "{old} {} tainted: agents ask anew for everything that was signed by {}",
                of_many("is", "are"),
                of_many("it", "them")
            ),
            (StepKind::Reissue, _) => format!(
                "connected nodes have replaced all of it, for at most {}",
                format_duration(self.planning.policy.emergency_ack_deadline)
            ),
            (StepKind::Withdraw, _) if self.order.extent == Extent::Relieve => format!("{old} is revoked: the list of its root names it"),
            (StepKind::Revoked, _) if self.order.extent == Extent::Relieve => format!("connected nodes have the lists without that of {old}"),
            (StepKind::Withdraw, _) => format!("{old} {} the bundle", of_many("leaves", "leave")),
            (StepKind::Revoked, _) => format!(
                "connected nodes believe {old} no more: {} revoked; partners by https_web follow at their next refresh, those by https_spiffe by a new link",
                of_many("it is", "they are")
            ),
        }
    }
}

fn noun(kind: AuthorityKind) -> &'static str {
    match kind {
        AuthorityKind::X509Root => "root",
        AuthorityKind::X509Issuing => "issuing CA",
        AuthorityKind::Jwt => "JWT key",
        AuthorityKind::Wit => "WIT key",
    }
}
