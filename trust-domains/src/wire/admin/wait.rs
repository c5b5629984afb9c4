//! Waiting until nodes show a change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::revision::Revision;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// Waits until every connected node concerned shows a commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitRequest {
    /// The commit.
    pub revision: Revision,
    /// The nodes concerned, by SPIFFE ID.
    pub nodes: Vec<SpiffeId>,
    /// The longest wait, in seconds: at most 300.
    pub timeout_s: u64,
}

/// Who shows a commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WaitOutcome {
    /// Connected nodes concerned that show it.
    pub acknowledged: Vec<crate::node::NodeName>,
    /// Connected nodes concerned that do not show it yet.
    pub missing: Vec<crate::node::NodeName>,
    /// Nodes concerned that are not connected, with the time since when, if this server saw them.
    pub away: Vec<AwayNode>,
}

/// A node without a connection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AwayNode {
    /// The node.
    pub name: String,
    /// Since when; absent when it never connected to this process.
    pub since: Option<Timestamp>,
}
