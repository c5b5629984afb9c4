//! What a server keeps about a node.

use serde::{Deserialize, Serialize};

use super::{NodeAttestor, NodeName, NodeState};
use crate::plan::validity::has_ended;
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

/// What a proved key is to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// It was the node's and is no longer, and its holder proved it anew: the node itself gave it up, so somebody else has a copy.
    Copied,
    /// It is the node's.
    Pinned,
    /// It is not the node's, and says nothing about a copy.
    Strange,
}

/// When a key was proved, seen from the moment at which the node gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofTime {
    /// The connection began after that moment. An honest node begins none with a key that it gave up.
    After,
    /// The connection began before it, or nobody knows: the node itself may have opened it, and a request on it may be late.
    BeforeOrUnknown,
}

/// What the server keeps about a node: always with a SPIFFE ID of the agents' form, and pinned to one key, or two while it renews.
///
/// The keys that it proved and gave up are kept as hashes, the newest [`NodeRecord::EARLIER_KEYS`] of them: a proof by one of them shows a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredNode")]
pub struct NodeRecord {
    spiffe_id: SpiffeId,
    selectors: SelectorSet,
    joined_at: Timestamp,
    current: NodeSvid,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NodeSvid>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    earlier: Box<[KeyHash]>,
    banned: bool,
    // Both are parts of the SPIFFE ID, so they are not stored.
    #[serde(skip_serializing)]
    attestation: NodeAttestor,
    #[serde(skip_serializing)]
    name: NodeName,
}

impl NodeRecord {
    /// The most keys that are remembered after the node gave them up, the oldest forgotten first: with node SVIDs of 24 hours, renewed every 12, those of 16
    /// days. The SVID of an older one has ended and is past any sensible grace period, so nothing can be proved with it.
    pub const EARLIER_KEYS: usize = 32;

    /// Returns the record of a node that just joined. A new proof of identity begins a new line of keys: those of the line before are not remembered, since
    /// the machine that still holds them may be the honest one that was replaced.
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
            earlier: Box::default(),
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

    /// Returns what a key is to this node that was proved at such a time.
    ///
    /// Only keys that the node itself proved the successor of count as given up: one of a renewal whose answer was lost was never the node's in earnest.
    #[must_use]
    pub fn standing(&self, key: &KeyHash, time: ProofTime) -> KeyStanding {
        if self.accepts(key) {
            KeyStanding::Pinned
        } else if time == ProofTime::After && self.earlier.contains(key) {
            KeyStanding::Copied
        } else {
            KeyStanding::Strange
        }
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
        } else if has_ended(self.expires_at(), now) {
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

    /// Returns the record with another SVID for the current key, when the answer with the one before was lost.
    #[must_use]
    pub fn reissued(&self, svid: NodeSvid) -> Self {
        Self {
            current: svid,
            next: None,
            ..self.clone()
        }
    }

    /// Returns the record after the node used the next key, which is then its only one; `None` when this is not that key.
    #[must_use]
    pub fn promoted(&self, key: &KeyHash) -> Option<Self> {
        let next = self.next.filter(|next| next.key == *key)?;
        // A key that came back would be refused as its own copy.
        let kept = self.earlier.iter().filter(|earlier| **earlier != next.key);
        let newest = std::iter::once(&self.current.key).chain(kept).copied();
        Some(Self {
            current: next,
            next: None,
            earlier: newest.take(Self::EARLIER_KEYS).collect(),
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
    /// Absent in records of versions that did not remember them.
    #[serde(default)]
    earlier: Vec<KeyHash>,
    #[serde(default)]
    banned: bool,
}

impl TryFrom<StoredNode> for NodeRecord {
    type Error = NotAnAgentId;

    fn try_from(stored: StoredNode) -> Result<Self, Self::Error> {
        let record = Self::new(stored.spiffe_id, stored.selectors, stored.joined_at, stored.current)?;
        Ok(Self {
            next: stored.next,
            earlier: stored.earlier.into_iter().take(Self::EARLIER_KEYS).collect(),
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
