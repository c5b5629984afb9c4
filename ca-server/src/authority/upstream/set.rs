//! All cross-certificates at one moment.

use std::sync::Arc;

use trust_domains::Timestamp;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::upstream::CrossId;
use trust_domains::x509::MAX_UPSTREAM_LEN;

use super::cross::Cross;

/// The most certificates that follow the issuing CA in a chain: one cross-certificate with everything that its upstream authority may have below its root, or
/// several short ones. With leaf, issuing CA and the server's root behind them a chain has at most eight, which is what verifiers read.
const MAX_SENT: usize = MAX_UPSTREAM_LEN + 1;

/// All cross-certificates of this replica.
#[derive(Debug, Clone)]
pub(in crate::authority) struct CrossSet(Arc<[Cross]>);

impl CrossSet {
    pub(in crate::authority) fn new(mut crosses: Vec<Cross>) -> Self {
        crosses.sort_by(|one, other| one.id().cmp(other.id()));
        Self(crosses.into())
    }

    pub(in crate::authority) fn iter(&self) -> impl Iterator<Item = &Cross> {
        self.0.iter()
    }

    pub(super) fn find(&self, id: &CrossId) -> Option<&Cross> {
        self.0.iter().find(|cross| cross.id() == id)
    }

    /// Returns what follows an issuing CA of this root in a chain: its cross-certificates that are valid now and asked for, each with the certificates above it,
    /// the one that lasts longest first. One that does not fit any more is left out whole.
    pub(in crate::authority) fn sent(&self, root: &AuthorityId, now: Timestamp) -> Vec<Arc<[u8]>> {
        let mut crosses: Vec<&Cross> = self
            .0
            .iter()
            .filter(|cross| cross.root() == root && cross.used().is_sent && cross.is_valid_at(now))
            .collect();
        crosses.sort_by_key(|cross| std::cmp::Reverse(cross.not_after()));
        let mut sent: Vec<Arc<[u8]>> = Vec::new();
        for cross in crosses {
            let new: Vec<_> = cross.chain().iter().filter(|der| !sent.contains(der)).cloned().collect();
            if sent.len() + new.len() <= MAX_SENT {
                sent.extend(new);
            }
        }
        sent
    }
}
