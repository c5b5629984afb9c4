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
mod forget;
mod handover;
mod id;
mod issuing;
mod line;
mod policy;
mod roots;
mod state;
mod tokens;

pub use action::{AuthorityAction, AuthorityPlan, AuthorityProblem, ForgetReason, PrepareReason, Signing};
pub use id::{AuthorityId, ParseAuthorityIdError};
pub use policy::{
    AuthorityPolicy, DEFAULT_ACK_DEADLINE, DEFAULT_ROOT_NOTICE, DEFAULT_TOKEN_KEY_LIFE, KeyLife, PolicyRefused, REFRESHES_BEFORE_USE, TokenPolicy,
    TokenPolicyRefused,
};
pub use state::{AuthoritiesState, AuthorityKind, AuthorityState, Missing, Phase, Publication, UnknownAuthorityKind};

use line::longest;

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
}

#[cfg(test)]
mod tests;
