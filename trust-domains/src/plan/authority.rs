//! The life of the authorities (design section 6): *prepared* -> *active* -> *old* -> gone; *tainted* on the way out in an emergency, then *revoked*.
//!
//! The plan, for the roots, the issuing CA and the token keys:
//! - An authority signs while it has at least twice the longest life that it may grant; by then its successor is active. No plan clips a leaf below its TTL.
//! - A successor is prepared `2 * handover_lead` ahead of that moment and activated `handover_lead` ahead, so that a failure at either step has time to be mended.
//! - Without an authority that can sign, one is prepared, and activated as soon as it may be.
//! - A handover is one commit: the successor signs from then on, and those before it no more. With two active ones, as an earlier version may have left them,
//!   the one that ends last signs.
//! - A prepared authority that brings no gain over the active one is forgotten (its key has signed nothing), unless an operator asked for it; an old, tainted
//!   or revoked one when it has ended.
//! - Forgetting cannot be undone: it waits until the clock is believed. A clock behind the last stored time signs nothing.
//! - An issuing CA whose root is not the active one is replaced at once, and signs until then if that root is old and still valid.
//! - An old root goes when the last issuing CA under it has gone, for then nothing that it vouches for can be valid.
//!
//! Roots and token keys come with no chain: who verifies must know them from the bundle before they sign. So, beyond the above:
//! - Each is in the bundle from its preparation on. A commit of its own then marks it as published, and everything after that commit tells of it.
//! - It is activated once every node with an unexpired SVID has acknowledged that commit, or the deadline passed; the nodes that are left behind are named.
//! - While another one signs, five refresh hints pass as well where those outside fetch the bundle, and partners that show what they hold are waited for, at
//!   most as long as nodes. Without one that signs nobody is waited for but nodes.
//! - A token key that signs with another algorithm than is configured is replaced in the same way, as soon as its successor is known.
//! - Both waits are over only by a clock that is believed: one that jumped ahead activates nothing early. It makes no root at all.
//! - Where CRLs are in use, an issuing CA waits for the nodes too, since its empty list must be out; but not past its time.
//!
//! JWT keys are planned always, WIT keys while the policy has bounds for them. Without those none is made and none signs; one that signed stays in the
//! bundle until it has ended, for what it signed is good, and would sign again; one that signed nothing is forgotten.
//!
//! An operator's orders are carried out beside that:
//! - What an order takes away is wanted no more: its successor is due at once, and is never among what goes.
//! - A planned replacement waits as every handover does. An emergency waits for connected nodes alone, at most [`DEFAULT_EMERGENCY_ACK_DEADLINE`] a step,
//!   by whatever clock there is, and names who is left behind.
//! - In an emergency, once a successor signs (of a root: an issuing CA under it too), the old ones are tainted, which has everything replaced that they
//!   signed; when connected nodes have done so they leave the bundle; when connected nodes know that, and partners that show what they hold are seen
//!   without them, the order is done. No step waits for any of them longer than the deadline of an emergency, and who is left behind is named.
//! - An issuing CA whose revocation list is too long is relieved of it in the same way, without its root.
//! - Each step follows from the phases alone. A crash between any two goes on where it was.
//!
//! The loop performs the actions in their order, then asks again, until there are none. Each action is one commit; after a crash the plan goes on from what is stored.

mod action;
mod forget;
mod handover;
mod id;
mod issuing;
mod line;
mod order;
mod orders;
mod partners;
mod policy;
mod progress;
mod roots;
mod state;
mod tokens;

pub use action::{AuthorityAction, AuthorityPlan, AuthorityProblem, ForgetReason, PrepareReason, Signing};
pub use id::{AuthorityId, ParseAuthorityIdError};
pub use order::{Beside, Extent, Order, OrderId, OrderRefused, ParseOrderIdError};
pub use partners::{BundleKey, OursSeen, PartnersBehind};
pub use policy::{
    AuthorityPolicy, DEFAULT_ACK_DEADLINE, DEFAULT_EMERGENCY_ACK_DEADLINE, DEFAULT_ROOT_LIFE, DEFAULT_TOKEN_KEY_LIFE, KeyLife, PolicyRefused,
    REFRESHES_BEFORE_USE, RootPolicy, RootPolicyRefused, TokenPolicy, TokenPolicyRefused,
};
pub use progress::steps;
pub use state::{Asked, AuthoritiesState, AuthorityKind, AuthorityState, Missing, Phase, Publication, UnknownAuthorityKind};

use orders::Lines;

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
    let lines = planning.lines();
    planning.hand_over_roots(&lines.roots);
    planning.hand_over_issuing(&lines.issuing);
    planning.hand_over_tokens(&lines.jwt, &policy.jwt);
    if let Some(policy) = &policy.wit {
        planning.hand_over_tokens(&lines.wit, policy);
    }
    planning.carry_out(&lines);
    planning.judge_root(&lines.roots);
    planning.forget(&lines);
    let signing = planning.issuing_signer(&lines.issuing);
    let jwt_signing = planning.token_signer(&lines.jwt);
    let wit_signing = match policy.wit {
        Some(_) => planning.token_signer(&lines.wit),
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
        Self {
            now,
            verdict,
            policy,
            state,
            root: None,
            actions: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Returns the lines of all kinds, and takes note of the root that signs.
    fn lines(&mut self) -> Lines<'a> {
        let roots = self.roots();
        self.root = roots.active();
        Lines {
            issuing: self.issuing(),
            jwt: self.tokens(AuthorityKind::Jwt, &self.policy.jwt),
            wit: self.tokens(AuthorityKind::Wit, &self.policy.wit.unwrap_or_default()),
            roots,
        }
    }
}

#[cfg(test)]
mod tests;
