//! Keys that sign tokens: published first, and known before they sign.

use std::time::Duration;

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, Signing};
use super::line::{Line, Succession, longest};
use super::policy::{ACK_NOTICE, TokenPolicy};
use super::state::{AuthorityKind, AuthorityState, Phase};

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

    /// Prepares, publishes, activates and retires the keys of one kind of token.
    pub(super) fn hand_over_tokens(&mut self, line: &Line<'a>, policy: &TokenPolicy) {
        if let Some(unpublished) = line.prepared().filter(|prepared| prepared.publication.is_none()) {
            self.actions.push(AuthorityAction::Publish {
                id: unpublished.id.clone(),
                refreshes: policy.refreshes,
            });
        }
        let mut signer = line.active();
        match line.succession() {
            Succession::Activate(prepared, reason) => {
                if self.is_known(prepared, policy, signer.is_some()) {
                    let left_behind = prepared.publication.as_ref().map(|publication| publication.missing.clone());
                    self.activate(prepared, reason, left_behind.unwrap_or_default());
                    signer = Some(prepared);
                }
            }
            Succession::Prepare(not_after, reason) => self.actions.push(AuthorityAction::PrepareToken {
                kind: line.kind,
                algorithm: line.algorithm.unwrap_or_default(),
                not_after,
                reason,
            }),
            // A token key has nothing above it that could be too short, but for a policy that its own type rules out.
            Succession::Nothing | Succession::TooShort => {}
        }
        self.retire(line, signer);
    }

    /// Returns whether everybody who is waited for knows a prepared key.
    pub(super) fn is_known(&mut self, prepared: &AuthorityState, policy: &TokenPolicy, another_signs: bool) -> bool {
        let Some(publication) = &prepared.publication else { return false };
        // A clock that jumped says nothing about how long anybody had.
        let waited = |wait| self.verdict.allows_destroying() && publication.at + wait <= self.now;
        let by_nodes = publication.missing.is_empty() || waited(policy.ack_deadline);
        // While nobody signs, nobody outside waits for a token that he can verify.
        let refreshes = if another_signs {
            policy.refreshes.max(publication.refreshes)
        } else {
            Duration::ZERO
        };
        let by_relying_parties = refreshes.is_zero() || waited(refreshes);
        // While nobody signs everybody waits for them: that is told at once.
        if by_relying_parties && !by_nodes && (!another_signs || publication.at + ACK_NOTICE <= self.now) {
            self.problems.push(AuthorityProblem::Unacknowledged {
                kind: prepared.kind,
                key: prepared.id.clone(),
                missing: publication.missing.clone(),
                signs_from: publication.at + policy.ack_deadline.max(refreshes),
            });
        }
        by_nodes && by_relying_parties
    }

    pub(super) fn token_signer(&mut self, line: &Line<'a>) -> Signing {
        self.signing(line, line.active(), AuthorityProblem::NoTokenKey { kind: line.kind })
    }
}
