//! Issuing CAs: each travels in the chain, so a new one needs nobody to know it.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, Signing};
use super::line::{Line, Succession, longest};
use super::state::{AuthorityKind, AuthorityState, Missing, Phase};

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
        let mut signer = active;
        match line.succession() {
            Succession::Activate(prepared, reason) => {
                self.activate(prepared, reason, Missing::default());
                signer = Some(prepared);
            }
            Succession::Nothing => {}
            Succession::Prepare(not_after, reason) => self.actions.push(AuthorityAction::PrepareIssuing {
                root: root.id.clone(),
                not_after,
                reason,
            }),
            Succession::TooShort => {
                let refused_from = active.map_or(self.now, |active| active.not_after - line.life.longest());
                self.problems.push(AuthorityProblem::RootTooShort {
                    root: root.id.clone(),
                    not_after: root.not_after,
                    refused_from,
                });
            }
        }
        self.retire(line, signer);
    }

    /// Returns who signs leaves as things are: the active issuing CA, or one under a root that is on its way out while there is no other.
    pub(super) fn issuing_signer(&mut self, line: &Line<'a>) -> Signing {
        let under_old_root = line
            .members
            .iter()
            .copied()
            .filter(|issuing| issuing.phase == Phase::Active && self.is_under_old_root(issuing));
        let signer = line.active().or_else(|| longest(under_old_root));
        self.signing(line, signer, AuthorityProblem::NoIssuing)
    }

    pub(super) fn is_under_old_root(&self, issuing: &AuthorityState) -> bool {
        let is_its_root = |root: &&AuthorityState| root.kind == AuthorityKind::X509Root && issuing.issuer.as_ref() == Some(&root.id);
        let root = self.state.authorities.iter().find(is_its_root);
        root.is_some_and(|root| root.phase == Phase::Old && root.is_valid_at(self.now)) && issuing.is_valid_at(self.now)
    }
}
