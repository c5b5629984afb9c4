//! Issuing CAs: each travels in the chain, so a new one needs nobody to know it, but where CRLs are in use: its empty one must be out.

use std::time::Duration;

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, Signing};
use super::handover::{HandedOver, Waits};
use super::line::{Line, longest};
use super::state::{AuthorityKind, AuthorityState, Phase};

impl<'a> Planning<'a> {
    /// Returns the line of the issuing CAs: usable are those under the active root.
    pub(super) fn issuing(&self) -> Line<'a> {
        let is_under_root = |issuing: &AuthorityState| self.root.is_some_and(|root| issuing.issuer.as_ref() == Some(&root.id));
        Line {
            ceiling: self.root.map(|root| root.not_after),
            ..self.line(AuthorityKind::X509Issuing, self.policy.issuing, is_under_root)
        }
    }

    /// Prepares, activates and retires issuing CAs. Without an active root nothing is made and nothing takes over.
    pub(super) fn hand_over_issuing(&mut self, line: &Line<'a>) {
        let active = line.active();
        let Some(root) = self.root else {
            self.retire(line, active);
            return;
        };
        let waits = Waits {
            publishes: self.state.crls_in_use,
            ack_deadline: self.policy.root.ack_deadline,
            refreshes: Duration::ZERO,
            another_signs: self.signing_issuing(line).is_some(),
            is_urgent: self.is_urgent(AuthorityKind::X509Issuing),
            // Whoever has no CRL of it yet refuses a peer or two; without it everybody would.
            may_skip: self.signing_issuing(line).is_none_or(|signer| line.is_late(signer)),
        };
        let prepare = |not_after, reason| AuthorityAction::PrepareIssuing {
            root: root.id.clone(),
            not_after,
            reason,
        };
        if self.hand_over(line, waits, prepare) == HandedOver::TooShort {
            let refused_from = active.map_or(self.now, |active| active.not_after - line.life.longest());
            self.problems.push(AuthorityProblem::RootTooShort {
                root: root.id.clone(),
                not_after: root.not_after,
                refused_from,
            });
        }
    }

    /// Returns who signs leaves as things are now, with the problems of that.
    pub(super) fn issuing_signer(&mut self, line: &Line<'a>) -> Signing {
        self.signing(line, self.signing_issuing(line), AuthorityProblem::NoIssuing)
    }

    /// Returns who signs leaves: the active issuing CA, or one under a root that is on its way out while there is no other.
    pub(super) fn signing_issuing(&self, line: &Line<'a>) -> Option<&'a AuthorityState> {
        let under_old_root = line
            .members
            .iter()
            .copied()
            .filter(|issuing| issuing.phase == Phase::Active && self.is_under_old_root(issuing));
        line.active().or_else(|| longest(under_old_root))
    }

    fn is_under_old_root(&self, issuing: &AuthorityState) -> bool {
        let is_its_root = |root: &&AuthorityState| root.kind == AuthorityKind::X509Root && issuing.issuer.as_ref() == Some(&root.id);
        let root = self.state.authorities.iter().find(is_its_root);
        root.is_some_and(|root| root.phase == Phase::Old && root.is_valid_at(self.now)) && issuing.is_valid_at(self.now)
    }
}
