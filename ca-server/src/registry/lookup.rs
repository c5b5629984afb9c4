//! The registry as issuance sees it.

use std::sync::Arc;

use trust_domains::node::NodeRecord;
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId};

use super::Registry;
use crate::issuance::EntryLookup;

impl EntryLookup for Registry {
    fn entry(&self, node: &SpiffeId, id: &EntryId) -> Option<(Arc<RegistrationEntry>, Revision)> {
        let state = self.read();
        let held = state.entries.find(id).filter(|held| held.entry.parent_id() == node)?;
        Some((Arc::clone(&held.entry), self.at(held.modified)))
    }

    fn node(&self, node: &SpiffeId) -> Option<Arc<NodeRecord>> {
        self.read().nodes.find(node).map(|held| Arc::clone(&held.record))
    }
}
