//! The registration entries in memory, found by id, by identity and by node.
//!
//! Memory decides the shape: the order by identity and the set of each node hold pointers and read their keys through them (design P8: 600 B an entry).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use trust_domains::{EntryId, RegistrationEntry, SpiffeId};

/// An entry with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldEntry {
    /// The entry.
    pub entry: Arc<RegistrationEntry>,
    /// The counter of the commit.
    pub modified: u64,
}

/// Where a page of a list starts: after this identity and, among entries of the same identity, after this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The entry.
    pub id: EntryId,
}

/// Every entry, indexed.
#[derive(Debug, Default)]
pub struct EntryIndex {
    by_id: HashSet<ById>,
    by_identity: BTreeSet<ByIdentity>,
    by_node: HashMap<SpiffeId, HashSet<ById>>,
}

impl EntryIndex {
    /// Returns an entry that shares what other entries of its node hold already.
    #[must_use]
    pub fn sharing(&self, entry: RegistrationEntry) -> RegistrationEntry {
        match self.by_node.get_key_value(entry.parent_id()) {
            Some((node, _)) => entry.sharing_parent(node),
            None => entry,
        }
    }

    /// Puts an entry in, and returns the one of the same id that was there.
    pub fn insert(&mut self, held: HeldEntry) -> Option<HeldEntry> {
        let previous = self.remove(held.entry.id());
        let node = held.entry.parent_id().clone();
        self.by_node.entry(node).or_default().insert(ById(held.clone()));
        self.by_identity.insert(ByIdentity(Arc::clone(&held.entry)));
        self.by_id.insert(ById(held));
        previous
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: &EntryId) -> Option<HeldEntry> {
        let ById(held) = self.by_id.take(id)?;
        self.by_identity.remove(&Place::of(&held.entry) as &dyn Placed);
        if let Some(siblings) = self.by_node.get_mut(held.entry.parent_id()) {
            siblings.remove(id);
            if siblings.is_empty() {
                self.by_node.remove(held.entry.parent_id());
            }
        }
        Some(held)
    }

    /// Returns the entry of this id.
    #[must_use]
    pub fn find(&self, id: &EntryId) -> Option<&HeldEntry> {
        self.by_id.get(id).map(|ById(held)| held)
    }

    /// Returns the entries under a node, in no order.
    pub fn under(&self, node: &SpiffeId) -> impl Iterator<Item = &HeldEntry> {
        self.by_node.get(node).into_iter().flatten().map(|ById(held)| held)
    }

    /// Returns the entries that give an identity, by id.
    pub fn giving<'a>(&'a self, identity: &'a SpiffeId) -> impl Iterator<Item = &'a HeldEntry> {
        let start = Place { identity, id: None };
        self.from(Bound::Included(&start)).take_while(move |held| held.entry.spiffe_id() == identity)
    }

    /// Returns the entries after a position (all without one), by identity and id.
    pub fn listed<'a>(&'a self, after: Option<&ListPosition>) -> impl Iterator<Item = &'a HeldEntry> + use<'a> {
        match after {
            None => self.from(Bound::Unbounded),
            Some(position) => self.from(Bound::Excluded(&Place {
                identity: &position.spiffe_id,
                id: Some(&position.id),
            })),
        }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn from<'a>(&'a self, start: Bound<&dyn Placed>) -> impl Iterator<Item = &'a HeldEntry> + use<'a> {
        self.by_identity
            .range::<dyn Placed, _>((start, Bound::Unbounded))
            .filter_map(|ByIdentity(entry)| self.find(entry.id()))
    }
}

/// Hashed and compared by the entry's id.
#[derive(Debug, Clone)]
struct ById(HeldEntry);

impl Borrow<EntryId> for ById {
    fn borrow(&self) -> &EntryId {
        self.0.entry.id()
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.entry.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.entry.id() == other.0.entry.id()
    }
}

impl Eq for ById {}

/// Ordered by the entry's identity, then its id.
#[derive(Debug)]
struct ByIdentity(Arc<RegistrationEntry>);

/// A place in the order of [`ByIdentity`]: that of an entry, or one that is asked for.
trait Placed {
    fn place(&self) -> Place<'_>;
}

/// An identity and an id under it; no id is the place before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    identity: &'a SpiffeId,
    id: Option<&'a EntryId>,
}

impl Place<'_> {
    fn of(entry: &RegistrationEntry) -> Place<'_> {
        Place {
            identity: entry.spiffe_id(),
            id: Some(entry.id()),
        }
    }
}

impl Placed for Place<'_> {
    fn place(&self) -> Place<'_> {
        *self
    }
}

impl Placed for ByIdentity {
    fn place(&self) -> Place<'_> {
        Place::of(&self.0)
    }
}

impl<'a> Borrow<dyn Placed + 'a> for ByIdentity {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Placed + '_ {}

impl Ord for ByIdentity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for ByIdentity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for ByIdentity {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use trust_domains::Timestamp;
    use trust_domains::entry::EntrySpec;
    use trust_domains::wire::admin::EntryDraft;

    use super::*;

    fn node(number: u8) -> SpiffeId {
        format!("spiffe://example.org/troth/agent/join_token/n{number}").parse().unwrap()
    }

    fn held(id: u8, path: u8, on: u8, modified: u64) -> HeldEntry {
        let draft = EntryDraft {
            spiffe_id: format!("/w{path}"),
            selectors: vec!["unix:uid:1".to_owned()],
            ..EntryDraft::default()
        };
        let spec = EntrySpec::check(&draft, &"example.org".parse().unwrap(), node(on)).unwrap();
        let id = format!("e{id:03}").parse().unwrap();
        HeldEntry {
            entry: Arc::new(RegistrationEntry::new(id, spec, Timestamp::from_unix(0))),
            modified,
        }
    }

    fn ids<'a>(entries: impl Iterator<Item = &'a HeldEntry>) -> Vec<&'a EntryId> {
        entries.map(|held| held.entry.id()).collect()
    }

    proptest! {
        #[test]
        fn every_way_to_an_entry_agrees_with_a_plain_map(
            changes in prop::collection::vec((any::<bool>(), 0u8..20, 0u8..5, 0u8..3), 0..120),
        ) {
            let mut index = EntryIndex::default();
            let mut model: BTreeMap<EntryId, HeldEntry> = BTreeMap::new();
            for (modified, (insert, id, path, on)) in changes.into_iter().enumerate() {
                let new = held(id, path, on, modified as u64);
                let id = new.entry.id().clone();
                let (before, expected) = match insert {
                    true => (index.insert(new.clone()), model.insert(id, new)),
                    false => (index.remove(&id), model.remove(&id)),
                };
                prop_assert_eq!(before.map(|held| held.modified), expected.map(|held| held.modified));
            }
            prop_assert_eq!(index.len(), model.len());
            let mut ordered: Vec<_> = model.values().collect();
            ordered.sort_by(|one, other| (one.entry.spiffe_id(), one.entry.id()).cmp(&(other.entry.spiffe_id(), other.entry.id())));
            prop_assert_eq!(ids(index.listed(None)), ids(ordered.iter().copied()));
            for held in &ordered {
                let after = ListPosition { spiffe_id: held.entry.spiffe_id().clone(), id: held.entry.id().clone() };
                let rest = ordered.iter().copied().skip_while(|other| other.entry.id() != held.entry.id()).skip(1);
                prop_assert_eq!(ids(index.listed(Some(&after))), ids(rest));
                prop_assert_eq!(index.find(held.entry.id()).map(|found| found.modified), Some(held.modified));
                let twins = ordered.iter().copied().filter(|other| other.entry.spiffe_id() == held.entry.spiffe_id());
                prop_assert_eq!(ids(index.giving(held.entry.spiffe_id())), ids(twins));
            }
            for on in 0..3 {
                let mut under = ids(index.under(&node(on)));
                under.sort();
                let mut expected: Vec<_> = model.values().filter(|held| *held.entry.parent_id() == node(on)).map(|held| held.entry.id()).collect();
                expected.sort();
                prop_assert_eq!(under, expected);
            }
        }
    }
}
