//! Records of the issuance journal as they are kept and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entry::EntryId;
use crate::public_key::KeyHash;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::{TokenId, TokenKind};

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
    /// What kind of token it is; in records of the first version, which say nothing, a JWT-SVID.
    #[serde(default)]
    pub kind: TokenKind,
    /// The token's own id (`jti`).
    pub jti: TokenId,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Whom it is for; a WIT-SVID says that in its proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// The key that a WIT-SVID is bound to: the SHA-256 of its SubjectPublicKeyInfo, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyHash>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_version_is_one_of_a_jwt_svid() {
        let written = r#"{"seq":1,"at":"2026-11-22T09:00:00Z","hash":"00","event":"token_issued","jti":"07070707070707070707070707070707",
            "spiffe_id":"spiffe://example.org/web","audience":["db"],"issuer":"ab","not_after":"2026-11-22T09:05:00Z","actor":"a","trace_id":""}"#;
        let AuditEvent::TokenIssued(issuance) = serde_json::from_str::<AuditRecord>(written).unwrap().event else {
            panic!("a token")
        };
        assert_eq!((issuance.kind, issuance.key), (TokenKind::Jwt, None));
        assert_eq!(issuance.audience, ["db"]);
    }
}
