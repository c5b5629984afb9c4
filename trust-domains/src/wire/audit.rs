//! Records of the issuance journal as they are kept and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entry::EntryId;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;

/// One record with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// SHA-256, in hex, over the hash of the record before and this record's octets.
    pub hash: String,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// A certificate is about to be signed: the record is durable before the key is used.
    Issued(Issuance),
    /// A token is about to be signed: the record is durable before the key is used.
    TokenIssued(TokenIssuance),
    /// Something was decided or changed.
    Decided(Decision),
    /// A torn or damaged tail was cut when the journal was opened.
    TailCut {
        /// How many octets were cut.
        bytes: u64,
    },
}

/// One issuance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issuance {
    /// The serial number.
    pub serial: Serial,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The entry; absent for node and server SVIDs and for CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// The node that asked; absent when the server issued for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<SpiffeId>,
    /// The authority that signs: its key id in hex.
    pub issuer: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// Who caused it.
    pub actor: String,
    /// The request's trace id (W3C trace context), in hex.
    pub trace_id: String,
}

/// The issuance of one token. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenIssuance {
    /// The token's own id (`jti`).
    pub jti: TokenId,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// The entry; absent for one that an operator minted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// The node that asked; absent for one that an operator minted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<SpiffeId>,
    /// The key that signs (`kid`).
    pub issuer: String,
    /// When the token ends.
    pub not_after: Timestamp,
    /// Who caused it.
    pub actor: String,
    /// The request's trace id (W3C trace context), in hex.
    pub trace_id: String,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// What was decided, as `entry_created`, `node_banned`, `attest_refused`.
    pub action: String,
    /// About whom or what: an entry's id, a node's or workload's SPIFFE ID, an authority.
    pub subject: String,
    /// Who caused it.
    pub actor: String,
    /// The reason: a stable code or a short sentence without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request's trace id, in hex.
    pub trace_id: String,
}
