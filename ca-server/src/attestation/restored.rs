//! A restored trust domain, as its nodes meet it: those that renewed after the backup hold a key that no record names.
//!
//! For one life of a node SVID after the restore such a node may renew with the key that it holds, once, if
//! - its SVID chains to our root and its key was proved, as for every renewal;
//! - its record exists and is not banned;
//! - the SVID ends after the newest one that the record knows: it was issued after the backup;
//! - no revocation list that was handed back names it.
//!
//! From that renewal on the record names its keys again, and no SVID of the time between ends later than the one it names. A node that joined after the backup
//! has no record, and needs a new link.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::node::{NodeRecord, NodeSvid};
use trust_domains::problem::{Code, Coded};
use trust_domains::x509::VerifiedPeer;

use super::attest::Attestation;
use super::identity::{AuthenticatedNode, NodeRefused};
use crate::seal::{SealError, SealedRecords};
use crate::store::{Key, Store, StoreError, Write};

/// That this store was restored from a backup, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When.
    pub at: Timestamp,
}

/// The mark of a restore cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RestoredError {
    /// It cannot be opened.
    #[error("the mark of the restore cannot be opened")]
    Seal(#[from] SealError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
}

impl Coded for RestoredError {
    fn code(&self) -> Code {
        match self {
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// Until when nodes whose record is older than their SVID may renew. Never open where nothing was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreWindow(Option<Timestamp>);

fn place() -> Key {
    Key::meta("restored")
}

impl Restored {
    /// Returns the write that keeps it.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub(crate) fn write(&self, records: &SealedRecords) -> Result<Write, SealError> {
        records.put(place(), self)
    }

    /// Reads whether a store was restored.
    ///
    /// # Errors
    /// The store cannot be read, or what it says cannot be opened.
    pub(crate) async fn load(store: &dyn Store, records: &SealedRecords) -> Result<Option<Self>, RestoredError> {
        let item = store.meta(place()).await?;
        Ok(item.map(|item| records.open_item(&item)).transpose()?)
    }
}

impl RestoreWindow {
    /// Returns the window after a restore, if there was one: one life of a node SVID.
    #[must_use]
    pub fn after(restored: Option<Restored>, node_life: Duration) -> Self {
        Self(restored.map(|restored| restored.at + node_life))
    }

    /// Returns whether it is open.
    #[must_use]
    pub fn is_open(self, now: Timestamp) -> bool {
        self.0.is_some_and(|until| now <= until)
    }

    /// Returns whether an SVID that ends then was issued after everything that the record knows, and may be renewed for it.
    #[must_use]
    pub fn admits(self, record: &NodeRecord, not_after: Timestamp, now: Timestamp) -> bool {
        self.is_open(now) && !record.is_banned() && not_after > record.expires_at()
    }
}

/// Returns the record after a node proved the key of an SVID that it did not know: from now on this is the node's key.
#[must_use]
pub(super) fn readmitted(record: &NodeRecord, peer: &VerifiedPeer) -> NodeRecord {
    let svid = NodeSvid {
        key: *peer.key_hash(),
        serial: *peer.serial(),
        expires_at: peer.not_after(),
    };
    let renewing = record.renewing(svid);
    renewing.promoted(&svid.key).unwrap_or(renewing)
}

impl Attestation {
    /// Says which node a connection speaks for, now, when all that it asks is to renew.
    ///
    /// # Errors
    /// It speaks for none that may renew.
    pub fn authenticate_for_renewal(&self, connection: &platform::tls::ConnectionInfo) -> Result<AuthenticatedNode, NodeRefused> {
        match (self.authenticate(connection), &connection.peer) {
            (Err(NodeRefused::RecordOutdated { .. }), Some(peer)) => Ok(AuthenticatedNode::of(peer)),
            (authenticated, _) => authenticated,
        }
    }

    /// Says what a refusal is while the window is open: the record may be older than the node.
    pub(super) fn after_restore(&self, refused: NodeRefused, peer: &VerifiedPeer) -> NodeRefused {
        let now = self.clock.now().wall;
        match refused {
            NodeRefused::Unknown { presented } if self.restore_window.is_open(now) && presented.as_agent().is_some() => {
                NodeRefused::NotRestored { node: presented }
            }
            NodeRefused::KeyReplaced { node } if self.may_be_readmitted(&node, peer, now) => NodeRefused::RecordOutdated { node },
            refused => refused,
        }
    }

    fn may_be_readmitted(&self, node: &trust_domains::SpiffeId, peer: &VerifiedPeer, now: Timestamp) -> bool {
        let admits = |held: &crate::registry::HeldNode| self.restore_window.admits(&held.record, peer.not_after(), now);
        self.registry.view(|state| state.nodes.find(node).is_some_and(admits))
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::public_key::KeyHash;
    use trust_domains::{SelectorSet, Serial};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(10_000);
    const LIFE: Duration = Duration::from_secs(100);

    fn record(ends: i64) -> NodeRecord {
        let svid = NodeSvid {
            key: KeyHash::of_spki(b"old"),
            serial: Serial::from_parts([0; 4], [1; 11]),
            expires_at: Timestamp::from_unix(ends),
        };
        let id = "spiffe://example.org/troth/agent/join_token/a".parse().unwrap();
        NodeRecord::new(id, SelectorSet::default(), NOW, svid).unwrap()
    }

    #[test]
    fn only_a_newer_svid_of_a_known_unbanned_node_is_admitted_and_only_while_the_window_is_open() {
        let window = RestoreWindow::after(Some(Restored { at: NOW }), LIFE);
        let none = RestoreWindow::after(None, LIFE);
        let late = NOW + LIFE + Duration::from_secs(1);
        let ends = |seconds| NOW + Duration::from_secs(seconds);
        let cases = [
            ("a newer one", window, record(10_050), ends(51), NOW, true),
            ("as new as the record's", window, record(10_050), ends(50), NOW, false),
            ("an older one", window, record(10_050), ends(20), NOW, false),
            ("of a banned node", window, record(10_050).with_ban(true), ends(51), NOW, false),
            ("too late", window, record(10_050), ends(300), late, false),
            ("where nothing was restored", none, record(10_050), ends(51), NOW, false),
        ];
        for (name, window, record, not_after, now, expected) in cases {
            assert_eq!(window.admits(&record, not_after, now), expected, "{name}");
        }
    }
}
