//! The relationships with partner trust domains, as they are stored.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use trust_domains::TrustDomain;
use trust_domains::federation::Relationship;

/// A relationship with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldRelationship {
    /// The relationship.
    pub relationship: Arc<Relationship>,
    /// The counter of the commit.
    pub modified: u64,
}

/// All relationships, by their trust domains.
#[derive(Debug, Default)]
pub struct RelationshipIndex {
    by_name: BTreeMap<TrustDomain, HeldRelationship>,
}

impl RelationshipIndex {
    /// Puts a relationship in the place of the one with the same trust domain.
    pub(super) fn insert(&mut self, held: HeldRelationship) {
        self.by_name.insert(held.relationship.trust_domain().clone(), held);
    }

    /// Takes a relationship out.
    pub(super) fn remove(&mut self, partner: &TrustDomain) {
        self.by_name.remove(partner);
    }

    /// Returns the relationship with a trust domain.
    #[must_use]
    pub fn find(&self, partner: &TrustDomain) -> Option<&HeldRelationship> {
        self.by_name.get(partner)
    }

    /// Returns the relationships after a trust domain (all without one), in the order of their names.
    pub fn listed<'a>(&'a self, after: Option<&TrustDomain>) -> impl Iterator<Item = &'a HeldRelationship> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<TrustDomain, _>((start, Bound::Unbounded)).map(|(_, held)| held)
    }

    /// Returns how many there are.
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
