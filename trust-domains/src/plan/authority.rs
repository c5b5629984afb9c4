//! The life of the authorities (design section 6): *prepared* -> *active* -> *old* -> gone; *tainted* on the way out in an emergency, then *revoked*.
//!
//! The plan, for the root, the issuing CA and the token keys of one replica:
//! - A root is made once, by `server init`. When too little of it is left the plan says so, early; it never makes do with leaves clipped below their TTL.
//! - An authority signs while it has at least twice the longest life that it may grant; by then its successor is active.
//! - A successor is prepared `2 * handover_lead` ahead of that moment and activated `handover_lead` ahead, so that a failure at either step has time to be mended.
//! - Without an authority that can sign, one is prepared and activated at once.
//! - Activation comes before retirement: at each step at least one authority is active, and with two of them the one that ends last signs.
//! - A prepared authority that brings no gain over the active one is forgotten (its key has signed nothing); an old, tainted or revoked one when it has ended.
//! - Forgetting cannot be undone: it waits until the clock is believed. A clock behind the last stored time signs nothing.
//! - An issuing CA whose root is not the active one is replaced at once, and signs until then if that root is old and still valid.
//!
//! A token key has no certificate, and no chain brings it along: who verifies must know it from the bundle before it signs. So, beyond the above:
//! - It is in the bundle from its preparation on. A commit of its own then marks it as published, and everything after that commit tells of it.
//! - It is activated once every node with an unexpired SVID has acknowledged that commit, or the deadline passed; the nodes that are left behind are named.
//! - While another key signs, five refresh hints pass as well where relying parties fetch the keys. Without a key that signs nobody is waited for but nodes.
//! - One that signs with another algorithm than is configured is replaced in the same way, as soon as its successor is known.
//! - Both waits are over only by a clock that is believed: one that jumped ahead activates nothing early.
//!
//! JWT keys are planned always, WIT keys while the policy has bounds for them. Without those none is made and none signs; one that signed stays in the
//! bundle until it has ended, for what it signed is good, and would sign again; one that signed nothing is forgotten.
//!
//! The loop performs the actions in their order, then asks again, until there are none. Each action is one commit; after a crash the plan goes on from what is stored.

mod action;
mod id;
mod line;
mod policy;
mod state;

pub use action::{AuthorityAction, AuthorityPlan, AuthorityProblem, ForgetReason, PrepareReason, Signing};
pub use id::{AuthorityId, ParseAuthorityIdError};
pub use policy::{
    AuthorityPolicy, DEFAULT_ACK_DEADLINE, DEFAULT_ROOT_NOTICE, DEFAULT_TOKEN_KEY_LIFE, KeyLife, PolicyRefused, REFRESHES_BEFORE_USE, TokenPolicy,
    TokenPolicyRefused,
};
pub use state::{AuthoritiesState, AuthorityKind, AuthorityState, Missing, Phase, Publication, UnknownAuthorityKind};

use line::{Line, Succession, longest};
use policy::ACK_NOTICE;

use std::time::Duration;

use crate::clock::Reading;
use crate::plan::clock_evidence::ClockVerdict;
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
            jwt_signing: Signing::Stopped,
            wit_signing: Signing::Stopped,
        };
    }
    let mut planning = Planning::new(now.wall, verdict, state, policy);
    let issuing = planning.issuing();
    let jwt = planning.tokens(AuthorityKind::Jwt, &policy.jwt);
    let wit = planning.tokens(AuthorityKind::Wit, &policy.wit.unwrap_or_default());
    planning.judge_root();
    planning.hand_over_issuing(&issuing);
    planning.hand_over_tokens(&jwt, &policy.jwt);
    if let Some(policy) = &policy.wit {
        planning.hand_over_tokens(&wit, policy);
    }
    planning.forget(&[&issuing, &jwt, &wit]);
    let signing = planning.issuing_signer(&issuing);
    let jwt_signing = planning.token_signer(&jwt);
    let wit_signing = match policy.wit {
        Some(_) => planning.token_signer(&wit),
        None => Signing::Stopped,
    };
    AuthorityPlan {
        actions: planning.actions,
        problems: planning.problems,
        signing,
        jwt_signing,
        wit_signing,
    }
}

struct Planning<'a> {
    now: Timestamp,
    verdict: ClockVerdict,
    policy: &'a AuthorityPolicy,
    state: &'a AuthoritiesState,
    root: Option<&'a AuthorityState>,
    actions: Vec<AuthorityAction>,
    problems: Vec<AuthorityProblem>,
}

impl<'a> Planning<'a> {
    fn new(now: Timestamp, verdict: ClockVerdict, state: &'a AuthoritiesState, policy: &'a AuthorityPolicy) -> Self {
        let roots = state.authorities.iter().filter(|authority| authority.kind == AuthorityKind::X509Root);
        Self {
            now,
            verdict,
            policy,
            state,
            root: longest(roots.filter(|root| root.phase == Phase::Active && root.is_valid_at(now))),
            actions: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Returns the line of the issuing CAs: usable are those under the active root.
    fn issuing(&self) -> Line<'a> {
        let is_under_root = |issuing: &AuthorityState| self.root.is_some_and(|root| issuing.issuer.as_ref() == Some(&root.id));
        Line {
            ceiling: self.root.map(|root| root.not_after),
            ..self.line(AuthorityKind::X509Issuing, self.policy.issuing, is_under_root)
        }
    }

    /// Returns the line of the keys that sign one kind of token.
    fn tokens(&self, kind: AuthorityKind, policy: &TokenPolicy) -> Line<'a> {
        let line = self.line(kind, policy.life, |_| true);
        let signs = || longest(line.members.iter().copied().filter(|member| member.phase == Phase::Active)).and_then(|active| active.algorithm);
        Line {
            algorithm: Some(policy.algorithm.or_else(signs).unwrap_or_default()),
            ..line
        }
    }

    fn line(&self, kind: AuthorityKind, life: KeyLife, may_sign: impl Fn(&AuthorityState) -> bool) -> Line<'a> {
        let members: Vec<_> = self.state.authorities.iter().filter(|authority| authority.kind == kind).collect();
        let usable = members
            .iter()
            .copied()
            .filter(|member| member.is_valid_at(self.now) && may_sign(member))
            .collect();
        Line {
            kind,
            now: self.now,
            life,
            members,
            usable,
            ceiling: None,
            algorithm: None,
        }
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

    /// Prepares, activates and retires issuing CAs. Without an active root nothing is made and nothing takes over.
    fn hand_over_issuing(&mut self, line: &Line<'a>) {
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

    /// Prepares, publishes, activates and retires the keys of one kind of token.
    fn hand_over_tokens(&mut self, line: &Line<'a>, policy: &TokenPolicy) {
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
    fn is_known(&mut self, prepared: &AuthorityState, policy: &TokenPolicy, another_signs: bool) -> bool {
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

    fn activate(&mut self, prepared: &AuthorityState, reason: PrepareReason, left_behind: Missing) {
        self.actions.push(AuthorityAction::Activate {
            id: prepared.id.clone(),
            reason,
            left_behind,
        });
    }

    /// Retires all active ones but the one that signs from now on.
    fn retire(&mut self, line: &Line<'_>, signer: Option<&AuthorityState>) {
        let Some(signer) = signer else { return };
        for other in line.members.iter().filter(|other| other.phase == Phase::Active && other.id != signer.id) {
            self.actions.push(AuthorityAction::Retire {
                id: other.id.clone(),
                replaced_by: signer.id.clone(),
            });
        }
    }

    fn forget(&mut self, lines: &[&Line<'_>]) {
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

    fn forget_reason(&self, line: &Line<'_>, member: &AuthorityState) -> Option<ForgetReason> {
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
    fn is_planned(&self, kind: AuthorityKind) -> bool {
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

    /// Returns who signs leaves as things are: the active issuing CA, or one under a root that is on its way out while there is no other.
    fn issuing_signer(&mut self, line: &Line<'a>) -> Signing {
        let under_old_root = line
            .members
            .iter()
            .copied()
            .filter(|issuing| issuing.phase == Phase::Active && self.is_under_old_root(issuing));
        let signer = line.active().or_else(|| longest(under_old_root));
        self.signing(line, signer, AuthorityProblem::NoIssuing)
    }

    fn is_under_old_root(&self, issuing: &AuthorityState) -> bool {
        let is_its_root = |root: &&AuthorityState| root.kind == AuthorityKind::X509Root && issuing.issuer.as_ref() == Some(&root.id);
        let root = self.state.authorities.iter().find(is_its_root);
        root.is_some_and(|root| root.phase == Phase::Old && root.is_valid_at(self.now)) && issuing.is_valid_at(self.now)
    }

    fn token_signer(&mut self, line: &Line<'a>) -> Signing {
        self.signing(line, line.active(), AuthorityProblem::NoTokenKey { kind: line.kind })
    }

    fn signing(&mut self, line: &Line<'_>, signer: Option<&AuthorityState>, none: AuthorityProblem) -> Signing {
        let Some(signer) = signer else {
            self.problems.push(none);
            return Signing::Stopped;
        };
        if line.is_late(signer) {
            self.problems.push(AuthorityProblem::SuccessorLate {
                kind: line.kind,
                authority: signer.id.clone(),
                not_after: signer.not_after,
            });
        }
        Signing::With(signer.id.clone())
    }
}

#[cfg(test)]
mod tests;
