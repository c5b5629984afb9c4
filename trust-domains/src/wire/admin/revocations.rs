//! Revoking certificates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::revision::Revision;
use crate::revocation::{RevocationCause, RevocationTarget};
use crate::serial::Serial;
use crate::timestamp::Timestamp;

/// Revokes certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Which.
    pub target: RevokeTarget,
    /// Why, for the record; at most [`super::super::authorities::MAX_BECAUSE`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Names certificates, as an operator writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevokeTarget {
    /// What an entry was issued: its id, or its SPIFFE ID where that is one entry's. The entry may be gone already.
    Entry(String),
    /// The SVID of a node and what was issued through it: its name or SPIFFE ID. The node may be gone already; then its SPIFFE ID.
    Node(String),
    /// One certificate.
    Serial(Serial),
    /// What was issued with this SPIFFE ID.
    SpiffeId(String),
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// The rule; absent when nothing unexpired is concerned, and so nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RevocationView>,
    /// How many unexpired certificates it concerns.
    pub certificates: usize,
    /// The commit with which the lists go out: who acknowledged it has them.
    pub revision: Revision,
}

/// A rule as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    /// Names the rule.
    pub id: String,
    /// What it is about.
    pub target: RevocationTarget,
    /// When it was made.
    pub made_at: Timestamp,
    /// What was issued until then falls under it; absent of a banned node: whatever comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Until when the rule lives: the end of the last certificate that it concerns.
    pub until: Timestamp,
    /// Why there is a rule.
    pub cause: RevocationCause,
    /// What the operator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Who made it.
    pub actor: String,
}
