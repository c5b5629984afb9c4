//! What a server keeps about a node.

use serde::{Deserialize, Serialize};

use super::{NodeAttestor, NodeName, NodeState};
use crate::problem::{Code, Coded};
use crate::public_key::KeyHash;
use crate::selector::SelectorSet;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// A node SVID as the server remembers it: by its key, not by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSvid {
    /// The SHA-256 of its public key.
    pub key: KeyHash,
    /// Its serial number.
    pub serial: Serial,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What the server keeps about a node: always with a SPIFFE ID of the agents' form, and pinned to one key, or two while it renews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredNode")]
pub struct NodeRecord {
    spiffe_id: SpiffeId,
    selectors: SelectorSet,
    joined_at: Timestamp,
    current: NodeSvid,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NodeSvid>,
    banned: bool,
    // Both are parts of the SPIFFE ID, so they are not stored.
    #[serde(skip_serializing)]
    attestation: NodeAttestor,
    #[serde(skip_serializing)]
    name: NodeName,
}

impl NodeRecord {
    /// Returns the record of a node that just joined.
    ///
    /// # Errors
    /// The SPIFFE ID is not that of an agent.
    pub fn new(spiffe_id: SpiffeId, selectors: SelectorSet, joined_at: Timestamp, svid: NodeSvid) -> Result<Self, NotAnAgentId> {
        let Some((attestation, name)) = spiffe_id.as_agent() else {
            return Err(NotAnAgentId { spiffe_id });
        };
        Ok(Self {
            spiffe_id,
            attestation,
            selectors,
            joined_at,
            current: svid,
            next: None,
            banned: false,
            name,
        })
    }

    /// Returns the node's SPIFFE ID.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the node's name: the last part of its SPIFFE ID.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Returns how the node proved itself.
    #[must_use]
    pub fn attestation(&self) -> NodeAttestor {
        self.attestation
    }

    /// Returns the facts about the node.
    #[must_use]
    pub fn selectors(&self) -> &SelectorSet {
        &self.selectors
    }

    /// Returns when the node joined.
    #[must_use]
    pub fn joined_at(&self) -> Timestamp {
        self.joined_at
    }

    /// Returns the SVID whose key the node proved last.
    #[must_use]
    pub fn current(&self) -> &NodeSvid {
        &self.current
    }

    /// Returns the SVID that was issued at a renewal and whose key was not used yet.
    #[must_use]
    pub fn next(&self) -> Option<&NodeSvid> {
        self.next.as_ref()
    }

    /// Returns whether an operator banned the node.
    #[must_use]
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// Returns when the last SVID of the node ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.next.map_or(self.current.expires_at, |next| next.expires_at.max(self.current.expires_at))
    }

    /// Returns whether a connection that proved this key is the node's. Whatever else chains to the root is not.
    #[must_use]
    pub fn accepts(&self, key: &KeyHash) -> bool {
        self.current.key == *key || self.is_next(key)
    }

    /// Returns whether this is the key of the next SVID: its first use promotes it.
    #[must_use]
    pub fn is_next(&self, key: &KeyHash) -> bool {
        self.next.is_some_and(|next| next.key == *key)
    }

    /// Returns whether the node may be served now.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> NodeState {
        if self.banned {
            NodeState::Banned
        } else if now >= self.expires_at() {
            NodeState::Expired
        } else {
            NodeState::Active
        }
    }

    /// Returns the record with a renewed SVID beside the current one. An earlier renewal whose answer was lost is replaced: its key was never used.
    #[must_use]
    pub fn renewing(&self, svid: NodeSvid) -> Self {
        Self {
            next: Some(svid),
            ..self.clone()
        }
    }

    /// Returns the record after the node used the next key, which is then its only one; `None` when this is not that key.
    #[must_use]
    pub fn promoted(&self, key: &KeyHash) -> Option<Self> {
        let next = self.next.filter(|next| next.key == *key)?;
        Some(Self {
            current: next,
            next: None,
            ..self.clone()
        })
    }

    /// Returns the record with the ban set or lifted.
    #[must_use]
    pub fn with_ban(&self, banned: bool) -> Self {
        Self { banned, ..self.clone() }
    }
}

/// The stored form, before its SPIFFE ID was looked at.
#[derive(Deserialize)]
struct StoredNode {
    spiffe_id: SpiffeId,
    #[serde(default)]
    selectors: SelectorSet,
    joined_at: Timestamp,
    current: NodeSvid,
    #[serde(default)]
    next: Option<NodeSvid>,
    #[serde(default)]
    banned: bool,
}

impl TryFrom<StoredNode> for NodeRecord {
    type Error = NotAnAgentId;

    fn try_from(stored: StoredNode) -> Result<Self, Self::Error> {
        let record = Self::new(stored.spiffe_id, stored.selectors, stored.joined_at, stored.current)?;
        Ok(Self {
            next: stored.next,
            banned: stored.banned,
            ..record
        })
    }
}

/// A SPIFFE ID that stands where a node's must is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{spiffe_id} is not the SPIFFE ID of a node")]
pub struct NotAnAgentId {
    /// The ID.
    pub spiffe_id: SpiffeId,
}

impl Coded for NotAnAgentId {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "list the nodes and their SPIFFE IDs: troth node list".to_owned()
    }
}
