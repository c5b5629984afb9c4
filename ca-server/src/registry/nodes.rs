//! The node records in memory, found by SPIFFE ID and by name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use trust_domains::SpiffeId;
use trust_domains::node::{NodeName, NodeRecord};

/// A node record with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldNode {
    /// The record.
    pub record: Arc<NodeRecord>,
    /// The counter of the commit.
    pub modified: u64,
}

/// Every node. A name is one node's: the stored key of a node is its name.
#[derive(Debug, Default)]
pub struct NodeIndex {
    by_name: BTreeMap<NodeName, HeldNode>,
    names: BTreeMap<SpiffeId, NodeName>,
}

impl NodeIndex {
    /// Puts a record in, and returns the one of the same name that was there.
    pub fn insert(&mut self, held: HeldNode) -> Option<HeldNode> {
        let name = held.record.name().clone();
        let previous = self.remove(&name);
        self.names.insert(held.record.spiffe_id().clone(), name.clone());
        self.by_name.insert(name, held);
        previous
    }

    /// Takes a record out.
    pub fn remove(&mut self, name: &NodeName) -> Option<HeldNode> {
        let held = self.by_name.remove(name)?;
        self.names.remove(held.record.spiffe_id());
        Some(held)
    }

    /// Returns the node of this SPIFFE ID.
    #[must_use]
    pub fn find(&self, spiffe_id: &SpiffeId) -> Option<&HeldNode> {
        self.by_name.get(self.names.get(spiffe_id)?)
    }

    /// Returns the node of this name.
    #[must_use]
    pub fn named(&self, name: &NodeName) -> Option<&HeldNode> {
        self.by_name.get(name)
    }

    /// Returns the nodes after a name (all without one), by name.
    pub fn listed<'a>(&'a self, after: Option<&NodeName>) -> impl Iterator<Item = &'a HeldNode> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<NodeName, _>((start, Bound::Unbounded)).map(|(_, held)| held)
    }

    /// Returns how many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
