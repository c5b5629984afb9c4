//! Roots: in the bundle from their making on, and known before they sign. A wild clock makes none and changes none.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem};
use super::handover::Waits;
use super::id::AuthorityId;
use super::line::Line;
use super::state::{AuthorityKind, AuthorityState};

impl<'a> Planning<'a> {
    /// Returns the line of the roots.
    pub(super) fn roots(&self) -> Line<'a> {
        self.line(AuthorityKind::X509Root, self.policy.root.life, |_| true)
    }

    /// Prepares, publishes, activates and retires roots.
    ///
    /// A root is needed for years: whether one has ended, or was known for long enough, is judged by a clock that is believed, or by an operator's order.
    pub(super) fn hand_over_roots(&mut self, line: &Line<'a>) {
        let waits = Waits {
            publishes: true,
            ack_deadline: self.policy.root.ack_deadline,
            refreshes: self.policy.root.refreshes,
            another_signs: line.active().is_some(),
            is_urgent: self.is_urgent(AuthorityKind::X509Root),
            may_skip: false,
        };
        if self.verdict.allows_destroying() || line.is_ordered() {
            self.hand_over(line, waits, |not_after, reason| AuthorityAction::PrepareRoot { not_after, reason });
        }
    }

    pub(super) fn judge_root(&mut self, line: &Line<'a>) {
        let Some(root) = line.active() else {
            self.problems.push(AuthorityProblem::NoRoot);
            return;
        };
        if line.is_late(root) {
            self.problems.push(AuthorityProblem::RootEndsSoon {
                root: root.id.clone(),
                not_after: root.not_after,
                successor_by: root.not_after - line.life.signing_margin(),
            });
        }
    }

    /// Returns whether an issuing CA under this root is still held: it goes when it has ended, and everything that it signed with it.
    pub(super) fn has_issuing_under(&self, root: &AuthorityId) -> bool {
        let is_under = |issuing: &AuthorityState| issuing.kind == AuthorityKind::X509Issuing && issuing.issuer.as_ref() == Some(root);
        self.state.authorities.iter().any(is_under)
    }
}
