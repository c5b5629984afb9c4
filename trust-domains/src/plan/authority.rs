//! The life of the authorities (design section 6): *prepared* -> *active* -> *old* -> gone; *tainted* on the way out in an emergency, then *revoked*.
//!
//! The plan, for the root and the issuing CA of one replica:
//! - A root is made once, by `server init`. When too little of it is left the plan says so, early; it never makes do with leaves clipped below their TTL.
//! - An issuing CA signs while it has at least twice the longest life that it may grant; by then its successor is active.
//! - A successor is prepared `2 * handover_lead` ahead of that moment and activated `handover_lead` ahead, so that a failure at either step has time to be mended.
//! - Without an authority that can sign, one is prepared and activated at once.
//! - Activation comes before retirement: at each step at least one authority is active, and with two of them the one that ends last signs.
//! - A prepared authority that brings no gain over the active one is forgotten (its key has signed nothing); an old, tainted or revoked one when it has ended.
//! - Forgetting cannot be undone: it waits until the clock is believed. A clock behind the last stored time signs nothing.
//! - An issuing CA whose root is not the active one is replaced at once, and signs until then if that root is old and still valid.
//!
//! The loop performs the actions in their order, then asks again, until there are none. Each action is one commit; after a crash the plan goes on from what is stored.

mod action;
mod id;
mod policy;
mod state;

pub use action::{AuthorityAction, AuthorityPlan, AuthorityProblem, ForgetReason, PrepareReason, Signing};
pub use id::{AuthorityId, ParseAuthorityIdError};
pub use policy::{AuthorityPolicy, DEFAULT_ROOT_NOTICE, PolicyRefused};
pub use state::{AuthoritiesState, AuthorityKind, AuthorityState, Phase};

use crate::clock::Reading;
use crate::plan::clock_evidence::ClockVerdict;
use crate::plan::validity::SHORTEST_LIFE;
use crate::timestamp::Timestamp;

/// Returns what is to be done now; see the head of this file for the policy.
#[must_use]
pub fn plan(now: Reading, state: &AuthoritiesState, policy: &AuthorityPolicy) -> AuthorityPlan {
    let verdict = state.clock.judge(now, &policy.clock);
    if let ClockVerdict::Behind { last_stored, by_s } = verdict {
        let problems = vec![AuthorityProblem::ClockBehind { last_stored, by_s }];
        return AuthorityPlan {
            actions: Vec::new(),
            problems,
            signing: Signing::Stopped,
        };
    }
    let mut planning = Planning::new(now.wall, state, policy);
    planning.judge_root();
    planning.hand_over();
    planning.forget(verdict);
    planning.finish()
}

struct Planning<'a> {
    now: Timestamp,
    policy: &'a AuthorityPolicy,
    state: &'a AuthoritiesState,
    issuing: Vec<&'a AuthorityState>,
    root: Option<&'a AuthorityState>,
    /// The issuing CA that is active and valid under the active root.
    active: Option<&'a AuthorityState>,
    actions: Vec<AuthorityAction>,
    problems: Vec<AuthorityProblem>,
}

impl<'a> Planning<'a> {
    fn new(now: Timestamp, state: &'a AuthoritiesState, policy: &'a AuthorityPolicy) -> Self {
        let of_kind = |kind| state.authorities.iter().filter(move |authority| authority.kind == kind);
        let root = longest(of_kind(AuthorityKind::X509Root).filter(|root| root.phase == Phase::Active && root.is_valid_at(now)));
        let issuing = of_kind(AuthorityKind::X509Issuing).collect();
        let mut planning = Self {
            now,
            policy,
            state,
            issuing,
            root,
            active: None,
            actions: Vec::new(),
            problems: Vec::new(),
        };
        planning.active = planning.usable(Phase::Active);
        planning
    }

    /// Returns the issuing CA in this phase that is valid now under the active root, and ends last.
    fn usable(&self, phase: Phase) -> Option<&'a AuthorityState> {
        longest(self.issuing.iter().copied().filter(|issuing| issuing.phase == phase && self.can_sign(issuing)))
    }

    fn can_sign(&self, issuing: &AuthorityState) -> bool {
        self.is_under_active_root(issuing) && issuing.is_valid_at(self.now)
    }

    fn is_under_active_root(&self, issuing: &AuthorityState) -> bool {
        self.root.is_some_and(|root| issuing.issuer.as_ref() == Some(&root.id))
    }

    /// Returns who signs as things are: the active issuing CA, or one under a root that is on its way out while there is no other.
    fn signer(&self) -> Option<&'a AuthorityState> {
        self.active.or_else(|| {
            longest(
                self.issuing
                    .iter()
                    .copied()
                    .filter(|issuing| issuing.phase == Phase::Active && self.is_under_old_root(issuing)),
            )
        })
    }

    fn is_under_old_root(&self, issuing: &AuthorityState) -> bool {
        let is_its_root = |root: &&AuthorityState| root.kind == AuthorityKind::X509Root && issuing.issuer.as_ref() == Some(&root.id);
        let root = self.state.authorities.iter().find(is_its_root);
        root.is_some_and(|root| root.phase == Phase::Old && root.is_valid_at(self.now)) && issuing.is_valid_at(self.now)
    }

    fn judge_root(&mut self) {
        let Some(root) = self.root else {
            self.problems.push(AuthorityProblem::NoRoot);
            return;
        };
        let successor_by = root.not_after - self.policy.root_margin();
        if self.now >= successor_by - self.policy.root_notice {
            self.problems.push(AuthorityProblem::RootEndsSoon {
                root: root.id.clone(),
                not_after: root.not_after,
                successor_by,
            });
        }
    }

    /// Prepares, activates and retires.
    fn hand_over(&mut self) {
        let signer = match (self.root, self.successor_reason()) {
            (Some(root), Some(reason)) => self.succeed(root, reason).or(self.active),
            _ => self.active,
        };
        let Some(signer) = signer else { return };
        for other in self.issuing.iter().filter(|other| other.phase == Phase::Active && other.id != signer.id) {
            self.actions.push(AuthorityAction::RetireIssuing {
                id: other.id.clone(),
                replaced_by: signer.id.clone(),
            });
        }
    }

    /// Returns why a successor must be prepared by now.
    fn successor_reason(&self) -> Option<PrepareReason> {
        let Some(active) = self.active else {
            return Some(PrepareReason::NoneActive);
        };
        let left = self.now.duration_until(active.not_after);
        let prepare_at = self.policy.signing_margin().saturating_add(self.policy.handover_lead() * 2);
        (left <= prepare_at).then_some(PrepareReason::EndsSoon { not_after: active.not_after })
    }

    /// Takes the next step towards a successor, and returns it if that is its activation.
    fn succeed(&mut self, root: &AuthorityState, reason: PrepareReason) -> Option<&'a AuthorityState> {
        let prepared = self.usable(Phase::Prepared).filter(|prepared| self.is_worth(prepared.not_after));
        if let Some(prepared) = prepared {
            if !self.must_activate() {
                return None;
            }
            self.actions.push(AuthorityAction::ActivateIssuing {
                id: prepared.id.clone(),
                reason,
            });
            return Some(prepared);
        }
        let not_after = (self.now + self.policy.issuing_life()).min(root.not_after);
        if self.is_worth(not_after) {
            self.actions.push(AuthorityAction::PrepareIssuing {
                root: root.id.clone(),
                not_after,
                reason,
            });
        } else {
            let refused_from = self.active.map_or(self.now, |active| active.not_after - self.policy.longest_life());
            self.problems.push(AuthorityProblem::RootTooShort {
                root: root.id.clone(),
                not_after: root.not_after,
                refused_from,
            });
        }
        None
    }

    fn must_activate(&self) -> bool {
        let activate_at = self.policy.signing_margin().saturating_add(self.policy.handover_lead());
        self.active.is_none_or(|active| self.now.duration_until(active.not_after) <= activate_at)
    }

    /// An issuing CA is worth its key if it outlasts the active one by the lead: near the root's end all would end with the root.
    fn is_worth(&self, not_after: Timestamp) -> bool {
        match self.active {
            Some(active) => not_after >= active.not_after + self.policy.handover_lead(),
            None => not_after > self.now + SHORTEST_LIFE,
        }
    }

    fn forget(&mut self, verdict: ClockVerdict) {
        let due: Vec<_> = self
            .issuing
            .iter()
            .filter_map(|issuing| self.forget_reason(issuing).map(|reason| (issuing.id.clone(), reason)))
            .collect();
        match verdict {
            ClockVerdict::Agreed => self
                .actions
                .extend(due.into_iter().map(|(id, reason)| AuthorityAction::ForgetIssuing { id, reason })),
            ClockVerdict::Jumped { last_stored, by_s } | ClockVerdict::Behind { last_stored, by_s } => {
                self.problems.push(AuthorityProblem::ClockJumped {
                    last_stored,
                    by_s,
                    held: due.len(),
                });
            }
        }
    }

    fn forget_reason(&self, issuing: &AuthorityState) -> Option<ForgetReason> {
        let not_after = issuing.not_after;
        match issuing.phase {
            Phase::Active => None,
            Phase::Prepared => {
                // While no root is active nothing can be judged; one that begins in a moment was made before the clock was set back a little.
                let is_useful = issuing.not_before <= self.now + self.policy.clock.skew && self.is_under_active_root(issuing) && self.is_worth(not_after);
                (self.root.is_some() && !is_useful && !self.is_activated(issuing)).then_some(ForgetReason::NotNeeded)
            }
            Phase::Old | Phase::Tainted | Phase::Revoked => (self.now > not_after + self.policy.clock.skew).then_some(ForgetReason::Ended { not_after }),
        }
    }

    fn is_activated(&self, issuing: &AuthorityState) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, AuthorityAction::ActivateIssuing { id, .. } if *id == issuing.id))
    }

    fn finish(mut self) -> AuthorityPlan {
        let signing = match self.signer() {
            None => {
                self.problems.push(AuthorityProblem::NoIssuing);
                Signing::Stopped
            }
            Some(signer) => {
                if self.now.duration_until(signer.not_after) < self.policy.signing_margin() {
                    self.problems.push(AuthorityProblem::SuccessorLate {
                        issuing: signer.id.clone(),
                        not_after: signer.not_after,
                    });
                }
                Signing::With(signer.id.clone())
            }
        };
        AuthorityPlan {
            actions: self.actions,
            problems: self.problems,
            signing,
        }
    }
}

/// Returns the authority that ends last; of several the one with the greatest identifier, so that every look picks the same.
fn longest<'a>(authorities: impl Iterator<Item = &'a AuthorityState>) -> Option<&'a AuthorityState> {
    authorities.max_by(|one, other| (one.not_after, &one.id).cmp(&(other.not_after, &other.id)))
}

#[cfg(test)]
mod tests;
