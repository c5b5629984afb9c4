//! Join tokens, as an operator makes and lists them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::join_link::JoinLink;
use crate::timestamp::Timestamp;

/// Asks for a join token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// How long it may be used, in seconds: 10 s to 7 days.
    pub ttl_s: u64,
    /// The name the node will have; a random one otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<crate::node::NodeName>,
}

/// A new join token: the only time that its text is shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// Names the token in `list` and `delete`; it is no secret.
    pub id: String,
    /// The join link: a secret.
    pub link: JoinLink,
    /// The token alone: a secret.
    pub token: crate::join_link::JoinToken,
    /// The address in the link.
    pub server: String,
    /// Where that address came from: `advertise`, `listen` or `hostname`.
    pub server_from: String,
    /// SHA-256 of each root's DER, in hex.
    pub root_sha256: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The name that the node will have.
    pub node_id: crate::node::NodeName,
}

/// A join token as a list shows it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Names the token.
    pub id: String,
    /// The name that its node will have.
    pub node_id: crate::node::NodeName,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether a key was bound to it.
    pub used: bool,
}
