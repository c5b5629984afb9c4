//! Who a node is, on every call.
//!
//! Not "whoever chains to the root": the record of the node pins the key of its SVID, and that of the next one while it renews. What the handshake proved
//! is compared with the record as it is now, so that a ban, an eviction or a renewal elsewhere counts from its commit on. Under a tainted authority a pinned
//! key may only renew: until the renewed SVID is used, and never after.

use thiserror::Error;
use trust_domains::node::NodeRecord;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::KeyHash;
use trust_domains::x509::VerifiedPeer;
use trust_domains::{Serial, SpiffeId, Timestamp};

use crate::issuance::AuthenticatedCaller;
use crate::registry::Registry;

/// Why a connection does not speak for a node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NodeRefused {
    /// The node is banned.
    #[error("node {node} is banned")]
    Banned {
        /// The node.
        node: SpiffeId,
    },
    /// A tainted authority signed the certificate: it is good for one renewal.
    #[error("the SVID of node {node} was signed by {issuer}, which is being replaced")]
    IssuerTainted {
        /// The node.
        node: SpiffeId,
        /// The authority.
        issuer: AuthorityId,
    },
    /// The certificate of the connection has ended since it was opened.
    #[error("the certificate that opened this connection ended at {ended_at}")]
    ConnectionExpired {
        /// When.
        ended_at: Timestamp,
    },
    /// The key was the node's, the node gave it up, and somebody proved it anew: it was copied.
    #[error("the key of this connection was given up by node {node}: somebody has a copy")]
    KeyCopied {
        /// The node.
        node: SpiffeId,
    },
    /// The key is not the node's any more: it renewed since, on another connection.
    #[error("the key of this connection is not the one on record for node {node}")]
    KeyReplaced {
        /// The node.
        node: SpiffeId,
    },
    /// The connection has no client certificate.
    #[error("the connection has no client certificate")]
    NoCertificate,
    /// The server was restored from a backup that is older than the node.
    #[error("this server was restored from a backup that does not know node {node}")]
    NotRestored {
        /// The node.
        node: SpiffeId,
    },
    /// The server was restored from a backup that is older than the node's SVID: the node may renew it, and nothing else.
    #[error("this server was restored from a backup that is older than the SVID of node {node}")]
    RecordOutdated {
        /// The node.
        node: SpiffeId,
    },
    /// The SVID of the connection was revoked.
    #[error("the SVID of node {node} with serial {serial} was revoked")]
    Revoked {
        /// The node.
        node: SpiffeId,
        /// The serial.
        serial: Serial,
    },
    /// There is no such node; a workload's SVID lands here too.
    #[error("there is no node {presented}")]
    Unknown {
        /// Who the certificate says.
        presented: SpiffeId,
    },
}

impl Coded for NodeRefused {
    fn code(&self) -> Code {
        match self {
            // What follows from it is a ban.
            Self::Banned { .. } | Self::KeyCopied { .. } => Code::NodeBanned,
            Self::ConnectionExpired { .. } => Code::ConnectionIdentityExpired,
            Self::IssuerTainted { .. } => Code::NodeIssuerTainted,
            Self::KeyReplaced { .. } | Self::Unknown { .. } => Code::NodeUnknown,
            Self::NoCertificate => Code::NodeRequired,
            Self::NotRestored { .. } => Code::NodeNotRestored,
            Self::RecordOutdated { .. } => Code::NodeRecordOutdated,
            Self::Revoked { .. } => Code::NodeRevoked,
        }
    }
}

/// Judges a proved key by the node's record as it is now.
///
/// # Errors
/// There is no record, the node is banned, or the key is another.
pub fn judge(node: &SpiffeId, record: Option<&NodeRecord>, key: &KeyHash) -> Result<(), NodeRefused> {
    let record = record.ok_or_else(|| NodeRefused::Unknown { presented: node.clone() })?;
    if record.is_banned() {
        return Err(NodeRefused::Banned { node: node.clone() });
    }
    if !record.accepts(key) {
        return Err(NodeRefused::KeyReplaced { node: node.clone() });
    }
    Ok(())
}

/// A node whose certificate and key were proved in the handshake, and whose record accepted them a moment ago.
#[derive(Debug, Clone)]
pub struct AuthenticatedNode {
    spiffe_id: SpiffeId,
    key: KeyHash,
    ends_at: Timestamp,
    serial: Serial,
    issuer: Option<AuthorityId>,
}

impl AuthenticatedNode {
    /// Says which node a connection speaks for, now.
    ///
    /// # Errors
    /// It speaks for none.
    pub fn check(peer: Option<&VerifiedPeer>, registry: &Registry, now: Timestamp) -> Result<Self, NodeRefused> {
        let node = Self::of(peer.ok_or(NodeRefused::NoCertificate)?);
        node.check_again(registry, now)?;
        Ok(node)
    }

    /// Names the node that a connection proved to be. Whether it may be served is the caller's to say.
    pub(super) fn of(peer: &VerifiedPeer) -> Self {
        Self {
            spiffe_id: peer.spiffe_id().clone(),
            key: *peer.key_hash(),
            ends_at: peer.not_after(),
            serial: *peer.serial(),
            issuer: peer.issuer_key_id().and_then(|id| id.parse().ok()),
        }
    }

    /// Says whether the node may still be served, now: asked before each message of a stream.
    ///
    /// # Errors
    /// It may not.
    pub fn check_again(&self, registry: &Registry, now: Timestamp) -> Result<(), NodeRefused> {
        if now >= self.ends_at {
            return Err(NodeRefused::ConnectionExpired { ended_at: self.ends_at });
        }
        registry.view(|state| judge(&self.spiffe_id, state.nodes.find(&self.spiffe_id).map(|held| &*held.record), &self.key))?;
        // After the record: a banned node hears that it is banned.
        if registry.is_revoked(&self.serial) {
            return Err(NodeRefused::Revoked {
                node: self.spiffe_id.clone(),
                serial: self.serial,
            });
        }
        Ok(())
    }

    /// Refuses a node whose SVID one of these authorities signed: it may renew it, and nothing else. A stream that is open goes on until the node uses the
    /// renewed one: on it the node hears that it shall renew.
    ///
    /// # Errors
    /// [`NodeRefused::IssuerTainted`].
    pub fn refuse_tainted(&self, tainted: &[AuthorityId]) -> Result<(), NodeRefused> {
        match &self.issuer {
            Some(issuer) if tainted.contains(issuer) => Err(NodeRefused::IssuerTainted {
                node: self.spiffe_id.clone(),
                issuer: issuer.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the node.
    #[must_use]
    pub const fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the key that the handshake proved.
    #[must_use]
    pub const fn key(&self) -> &KeyHash {
        &self.key
    }
}

impl AuthenticatedCaller for AuthenticatedNode {
    fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    fn key_hash(&self) -> KeyHash {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::node::NodeSvid;
    use trust_domains::{SelectorSet, Serial};

    use super::*;

    fn key(number: u8) -> KeyHash {
        KeyHash::of_spki(&[number])
    }

    fn svid(number: u8) -> NodeSvid {
        NodeSvid {
            key: key(number),
            serial: Serial::from_parts([0; 4], [number; 11]),
            expires_at: Timestamp::from_unix(2_000),
        }
    }

    #[test]
    fn only_the_current_and_the_next_key_of_a_known_node_are_served() {
        let id: SpiffeId = "spiffe://example.org/troth/agent/join_token/a".parse().unwrap();
        let record = NodeRecord::new(id.clone(), SelectorSet::default(), Timestamp::from_unix(1_000), svid(1)).unwrap();
        let renewing = record.renewing(svid(2));
        let promoted = renewing.promoted(&key(2)).unwrap();
        let cases = [
            ("no record", None, 1, Some(Code::NodeUnknown)),
            ("the current key", Some(&record), 1, None),
            ("a strange key", Some(&record), 2, Some(Code::NodeUnknown)),
            ("the current key while renewing", Some(&renewing), 1, None),
            ("the next key while renewing", Some(&renewing), 2, None),
            ("the old key after the renewal", Some(&promoted), 1, Some(Code::NodeUnknown)),
            ("a banned node", Some(&record.with_ban(true)), 1, Some(Code::NodeBanned)),
        ];
        for (name, record, presented, expected) in cases {
            let refused = judge(&id, record, &key(presented)).err();
            assert_eq!(refused.map(|refused| refused.code()), expected, "{name}");
        }
    }
}
