//! Keys that sign tokens: published first, and known before they sign.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, Signing};
use super::handover::Waits;
use super::line::{Line, longest};
use super::policy::TokenPolicy;
use super::state::{AuthorityKind, Phase};

impl<'a> Planning<'a> {
    /// Returns the line of the keys that sign one kind of token.
    pub(super) fn tokens(&self, kind: AuthorityKind, policy: &TokenPolicy) -> Line<'a> {
        let line = self.line(kind, policy.life, |_| true);
        let signs = || longest(line.members.iter().copied().filter(|member| member.phase == Phase::Active)).and_then(|active| active.algorithm);
        Line {
            algorithm: Some(policy.algorithm.or_else(signs).unwrap_or_default()),
            ..line
        }
    }

    /// Prepares, publishes, activates and retires the keys of one kind of token. Nothing is above a token key that could be too short for it.
    pub(super) fn hand_over_tokens(&mut self, line: &Line<'a>, policy: &TokenPolicy) {
        let waits = Waits {
            publishes: true,
            ack_deadline: policy.ack_deadline,
            refreshes: policy.refreshes,
            another_signs: line.active().is_some(),
            is_urgent: self.is_urgent(line.kind),
            may_skip: false,
        };
        self.hand_over(line, waits, |not_after, reason| AuthorityAction::PrepareToken {
            kind: line.kind,
            algorithm: line.algorithm.unwrap_or_default(),
            not_after,
            reason,
        });
    }

    pub(super) fn token_signer(&mut self, line: &Line<'a>) -> Signing {
        self.signing(line, line.active(), AuthorityProblem::NoTokenKey { kind: line.kind })
    }
}
