//! What the authority plan decides: steps, problems, and who signs.

use std::time::Duration;

use crate::jws::TokenAlgorithm;
use crate::plan::authority::{AuthorityId, AuthorityKind, Missing, OrderId};
use crate::timestamp::Timestamp;

/// What is to be done, what is wrong, and who signs meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityPlan {
    /// What is to be done, in this order.
    pub actions: Vec<AuthorityAction>,
    /// What an operator must know.
    pub problems: Vec<AuthorityProblem>,
    /// Who signs leaves as things are now, before the actions.
    pub signing: Signing,
    /// Who signs JWT-SVIDs as things are now, before the actions.
    pub jwt_signing: Signing,
    /// Who signs WIT-SVIDs as things are now, before the actions; nobody where the policy has none.
    pub wit_signing: Signing,
}

/// A step in the life of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorityAction {
    /// Make a key, have the root sign its certificate, store both as prepared.
    PrepareIssuing {
        /// The root that signs it.
        root: AuthorityId,
        /// The NotAfter of its certificate, never after the root's.
        not_after: Timestamp,
        /// Why.
        reason: PrepareReason,
    },
    /// Make a key with a certificate that it signs itself, store both as prepared: from then on the bundle holds it.
    PrepareRoot {
        /// When it ends.
        not_after: Timestamp,
        /// Why.
        reason: PrepareReason,
    },
    /// Make a key that signs tokens, store it as prepared: from then on the bundle holds it.
    PrepareToken {
        /// What it signs.
        kind: AuthorityKind,
        /// What it signs with.
        algorithm: TokenAlgorithm,
        /// When it ends.
        not_after: Timestamp,
        /// Why.
        reason: PrepareReason,
    },
    /// Note that every node is told of it as it is now: each node's next acknowledgement is of this commit or a later one, and so of the authority.
    Publish {
        /// Which.
        id: AuthorityId,
        /// How long relying parties outside may take to hear of it.
        refreshes: Duration,
    },
    /// Let it sign: prepared becomes active, and those that signed become old, in one commit.
    Activate {
        /// Which.
        id: AuthorityId,
        /// Why.
        reason: PrepareReason,
        /// Who has not acknowledged it: the deadline passed.
        left_behind: Missing,
        /// Those that sign no more.
        retires: Vec<AuthorityId>,
    },
    /// Have everything replaced that it signed: it becomes tainted, and with a root its issuing CAs.
    Taint {
        /// Which.
        id: AuthorityId,
        /// The order that asks for it.
        order: OrderId,
    },
    /// Take it out of the bundle: tainted becomes revoked, and with a root its issuing CAs.
    Revoke {
        /// Which.
        id: AuthorityId,
        /// The order that asks for it.
        order: OrderId,
        /// Who still holds what it signed, as far as is known.
        left_behind: Missing,
    },
    /// Note that an order is carried out.
    Finish {
        /// Which.
        order: OrderId,
        /// Who has not heard of it.
        left_behind: Missing,
    },
    /// Let it sign no more: active becomes old.
    Retire {
        /// Which.
        id: AuthorityId,
        /// The one that signs in its place.
        replaced_by: AuthorityId,
    },
    /// Destroy its key and its record.
    Forget {
        /// Which.
        id: AuthorityId,
        /// Why.
        reason: ForgetReason,
    },
}

/// Why an authority is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrepareReason {
    /// The active one reaches its signing margin soon.
    EndsSoon {
        /// When the active one ends.
        not_after: Timestamp,
    },
    /// The active one signs with another algorithm than is configured.
    OtherAlgorithm {
        /// What it signs with.
        active: TokenAlgorithm,
        /// What is configured.
        wanted: TokenAlgorithm,
    },
    /// An operator ordered it.
    Ordered,
    /// None is active and valid; of issuing CAs, under the active root.
    NoneActive,
}

/// Why an authority is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgetReason {
    /// It has ended, and everything that it signed with it.
    Ended {
        /// When it ended.
        not_after: Timestamp,
    },
    /// A clock that was far ahead made it: nothing that it signed is valid.
    FromTheFuture {
        /// When it would begin.
        not_before: Timestamp,
    },
    /// A root whose issuing CAs have all ended.
    NothingUnder,
    /// It was prepared, signed nothing, and brings no gain over what is active.
    NotNeeded,
    /// It was prepared, signed nothing, and an operator wants it gone.
    Ordered,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// Nobody, as the problems say.
    Stopped,
    /// This authority.
    With(AuthorityId),
}

/// Something that an operator must know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityProblem {
    /// The clock is behind the last stored time: nothing is signed.
    #[error("the clock is {by_s} s behind the last stored time {last_stored}: nothing is signed until it is right")]
    ClockBehind {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds that are missing.
        by_s: i64,
    },
    /// The clock jumped: what cannot be undone waits.
    #[error(
        "the clock is {by_s} s after the last stored time {last_stored}: {held} authorities that ended are kept until an operator says that it is right: troth authority clock-ok"
    )]
    ClockJumped {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds since then.
        by_s: i64,
        /// How many authorities would have been forgotten.
        held: usize,
    },
    /// No issuing CA is active and valid.
    #[error("no issuing CA is active and valid: nothing is signed")]
    NoIssuing,
    /// No root is active and valid.
    #[error("no root is active and valid: no issuing CA can be made")]
    NoRoot,
    /// The root needs a successor.
    #[error("root {root} ends at {not_after}: it needs a successor by {successor_by}")]
    RootEndsSoon {
        /// Which.
        root: AuthorityId,
        /// When it ends.
        not_after: Timestamp,
        /// When its successor must be active.
        successor_by: Timestamp,
    },
    /// The root is too short for another issuing CA; leaves that would outlive the active one are refused.
    #[error("root {root} ends at {not_after}, too soon for another issuing CA: leaves of the longest life are refused from {refused_from}")]
    RootTooShort {
        /// Which.
        root: AuthorityId,
        /// When it ends.
        not_after: Timestamp,
        /// From when leaves of the longest life are refused.
        refused_from: Timestamp,
    },
    /// No key that signs tokens is active and valid.
    #[error("no {kind} key is active and valid: no such token is signed")]
    NoTokenKey {
        /// What it would sign.
        kind: AuthorityKind,
    },
    /// The active authority is within its signing margin: a handover failed or is late.
    #[error("{kind} authority {authority} ends at {not_after} and should sign no more, but it has no successor yet")]
    SuccessorLate {
        /// What it signs.
        kind: AuthorityKind,
        /// Which.
        authority: AuthorityId,
        /// When it ends.
        not_after: Timestamp,
    },
    /// A key is due to sign, and some nodes have not acknowledged it.
    #[error("{kind} key {key} should sign by now, and {missing} did not acknowledge it; it signs without them from {signs_from}")]
    Unacknowledged {
        /// What it signs.
        kind: AuthorityKind,
        /// Which.
        key: AuthorityId,
        /// Who is missing.
        missing: Missing,
        /// When the deadline passes.
        signs_from: Timestamp,
    },
}

impl AuthorityProblem {
    /// Returns the word by which health and metrics name the problem.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ClockBehind { .. } => "clock_behind",
            Self::ClockJumped { .. } => "clock_jumped",
            Self::NoIssuing => "no_issuing_authority",
            Self::NoRoot => "no_root",
            Self::RootEndsSoon { .. } => "root_ends_soon",
            Self::RootTooShort { .. } => "root_too_short",
            Self::NoTokenKey { .. } => "no_token_key",
            Self::SuccessorLate { .. } => "successor_late",
            Self::Unacknowledged { .. } => "key_unacknowledged",
        }
    }
}
