//! The registry as issuance and the authorities see it.

use std::sync::Arc;

use trust_domains::node::{NodeRecord, NodeState};
use trust_domains::plan::authority::{AuthorityId, Missing};
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId, Timestamp};

use super::{Registry, State};
use crate::authority::BundleWitness;
use crate::issuance::EntryLookup;

impl EntryLookup for Registry {
    fn entry(&self, node: &SpiffeId, id: &EntryId) -> Option<(Arc<RegistrationEntry>, Revision)> {
        let state = self.read();
        let held = state.entries.find(id).filter(|held| state.gives(node, &held.entry))?;
        Some((Arc::clone(&held.entry), self.at(held.modified)))
    }

    fn node(&self, node: &SpiffeId) -> Option<Arc<NodeRecord>> {
        self.read().nodes.find(node).map(|held| Arc::clone(&held.record))
    }
}

impl BundleWitness for Registry {
    fn concerned(&self, now: Timestamp) -> usize {
        may_be_served(&self.read(), now).count()
    }

    fn missing(&self, counter: u64, now: Timestamp) -> Missing {
        self.presence.missing(may_be_served(&self.read(), now), counter)
    }

    fn list_out_since(&self, ca: &AuthorityId) -> Option<u64> {
        self.read().crls.out_since(ca)
    }

    fn missing_connected(&self, counter: u64, now: Timestamp) -> Missing {
        self.presence.missing_connected(may_be_served(&self.read(), now), counter, now)
    }
}

/// Returns the nodes with an unexpired SVID that are not banned.
fn may_be_served(state: &State, now: Timestamp) -> impl Iterator<Item = &NodeRecord> {
    let nodes = state.nodes.listed(None).map(|held| &*held.record);
    nodes.filter(move |node| node.state(now) == NodeState::Active)
}
