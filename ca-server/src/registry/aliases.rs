//! Node aliases: which nodes have which alias, kept as entries and nodes come and go.
//!
//! An alias is an entry whose parent is the server; the nodes that have all its selectors have its SPIFFE ID, which other entries name as their parent. Two
//! aliases of one ID are an "or". What a change costs: an alias looks at every node once, a node at every alias, and only if its facts changed. Renewals
//! change no facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use trust_domains::node::NodeRecord;
use trust_domains::{EntryId, RegistrationEntry, SelectorSet, SpiffeId};

use super::nodes::NodeIndex;

/// The aliases and who has them.
#[derive(Debug, Default)]
pub struct AliasIndex {
    /// The aliases of each ID.
    aliases: BTreeMap<SpiffeId, HashMap<EntryId, Arc<RegistrationEntry>>>,
    members: HashMap<SpiffeId, BTreeSet<SpiffeId>>,
    of_node: HashMap<SpiffeId, BTreeSet<SpiffeId>>,
}

/// A node got an alias, or lost it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) node: SpiffeId,
    pub(super) alias: SpiffeId,
    pub(super) joined: bool,
}

impl AliasIndex {
    /// Takes note of an entry that was and of what it is now; most are no aliases.
    pub(super) fn exchange(&mut self, before: Option<&Arc<RegistrationEntry>>, now: Option<&Arc<RegistrationEntry>>, nodes: &NodeIndex) -> Vec<Move> {
        let mut concerned = BTreeSet::new();
        for entry in before.into_iter().filter(|entry| entry.is_node_alias()) {
            if let Some(entries) = self.aliases.get_mut(entry.spiffe_id()) {
                entries.remove(entry.id());
                if entries.is_empty() {
                    self.aliases.remove(entry.spiffe_id());
                }
            }
            concerned.insert(entry.spiffe_id().clone());
        }
        for entry in now.into_iter().filter(|entry| entry.is_node_alias()) {
            let entries = self.aliases.entry(entry.spiffe_id().clone()).or_default();
            entries.insert(entry.id().clone(), Arc::clone(entry));
            concerned.insert(entry.spiffe_id().clone());
        }
        let mut moves = Vec::new();
        for alias in &concerned {
            for held in nodes.listed(None) {
                moves.extend(self.place(held.record.spiffe_id(), alias, Some(held.record.selectors())));
            }
        }
        moves
    }

    /// Takes note of what a node was and is now.
    pub(super) fn node_changed(&mut self, before: Option<&NodeRecord>, now: Option<&NodeRecord>) -> Vec<Move> {
        let mut moves = Vec::new();
        if let Some(gone) = before.filter(|before| now.is_none_or(|now| now.spiffe_id() != before.spiffe_id())) {
            for alias in self.of_node.get(gone.spiffe_id()).cloned().unwrap_or_default() {
                moves.extend(self.place(gone.spiffe_id(), &alias, None));
            }
        }
        let changed = |now: &&NodeRecord| before.is_none_or(|before| before.spiffe_id() != now.spiffe_id() || before.selectors() != now.selectors());
        if let Some(node) = now.filter(changed) {
            for alias in self.aliases.keys().cloned().collect::<Vec<_>>() {
                moves.extend(self.place(node.spiffe_id(), &alias, Some(node.selectors())));
            }
        }
        moves
    }

    /// Puts a node where its facts say, and tells whether it was elsewhere.
    fn place(&mut self, node: &SpiffeId, alias: &SpiffeId, facts: Option<&SelectorSet>) -> Option<Move> {
        let joined = facts.is_some_and(|facts| self.matches(alias, facts));
        let moved = match joined {
            true => {
                self.of_node.entry(node.clone()).or_default().insert(alias.clone());
                self.members.entry(alias.clone()).or_default().insert(node.clone())
            }
            false => {
                take(&mut self.of_node, node, alias);
                take(&mut self.members, alias, node)
            }
        };
        moved.then(|| Move {
            node: node.clone(),
            alias: alias.clone(),
            joined,
        })
    }

    fn matches(&self, alias: &SpiffeId, facts: &SelectorSet) -> bool {
        let entries = self.aliases.get(alias).into_iter().flat_map(HashMap::values);
        entries.into_iter().any(|entry| entry.selectors().iter().all(|wanted| facts.contains(wanted)))
    }

    /// Returns whether an ID is that of an alias.
    #[must_use]
    pub fn is_alias(&self, id: &SpiffeId) -> bool {
        self.aliases.contains_key(id)
    }

    /// Returns whether a node has an alias.
    #[must_use]
    pub fn has(&self, node: &SpiffeId, alias: &SpiffeId) -> bool {
        self.of_node.get(node).is_some_and(|aliases| aliases.contains(alias))
    }

    /// Returns the parents whose entries a node has: itself, and its aliases.
    pub fn parents_of<'a>(&'a self, node: &'a SpiffeId) -> impl Iterator<Item = &'a SpiffeId> {
        std::iter::once(node).chain(self.of_node.get(node).into_iter().flatten())
    }

    /// Returns the nodes that have the entries under a parent: the node itself, or all that have the alias.
    pub fn nodes_under<'a>(&'a self, parent: &'a SpiffeId) -> impl Iterator<Item = &'a SpiffeId> {
        let node = parent.as_agent().map(|_| parent);
        node.into_iter().chain(self.members.get(parent).into_iter().flatten())
    }
}

fn take(map: &mut HashMap<SpiffeId, BTreeSet<SpiffeId>>, key: &SpiffeId, value: &SpiffeId) -> bool {
    let Some(values) = map.get_mut(key) else { return false };
    let was_there = values.remove(value);
    if values.is_empty() {
        map.remove(key);
    }
    was_there
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trust_domains::entry::EntrySpec;
    use trust_domains::node::NodeSvid;
    use trust_domains::public_key::KeyHash;
    use trust_domains::wire::admin::EntryDraft;
    use trust_domains::{Serial, Timestamp, TrustDomain};

    use super::*;
    use crate::registry::HeldNode;

    fn node(number: u8) -> SpiffeId {
        format!("spiffe://example.org/troth/agent/x509pop/n{number}").parse().unwrap()
    }

    fn alias(number: u8) -> SpiffeId {
        format!("spiffe://example.org/nodes/{number}").parse().unwrap()
    }

    fn selectors(facts: &BTreeSet<u8>) -> Vec<String> {
        facts.iter().map(|fact| format!("x509pop:subject:cn:{fact}")).collect()
    }

    fn record(number: u8, facts: &BTreeSet<u8>) -> NodeRecord {
        let svid = NodeSvid {
            key: KeyHash::of_spki(&[number]),
            serial: Serial::from_parts([0; 4], [0; 11]),
            expires_at: Timestamp::from_unix(1),
        };
        let facts = selectors(facts).iter().map(|text| text.parse().unwrap()).collect();
        NodeRecord::new(node(number), facts, Timestamp::from_unix(0), svid).unwrap()
    }

    fn entry(id: u8, of: u8, facts: &BTreeSet<u8>) -> Arc<RegistrationEntry> {
        let td: TrustDomain = "example.org".parse().unwrap();
        let draft = EntryDraft {
            spiffe_id: alias(of).to_string(),
            selectors: selectors(facts),
            ..EntryDraft::default()
        };
        let spec = EntrySpec::check(&draft, &td, SpiffeId::server(&td)).unwrap();
        Arc::new(RegistrationEntry::new(format!("e{id}").parse().unwrap(), spec, Timestamp::from_unix(0)))
    }

    #[derive(Debug, Clone)]
    enum Act {
        Alias(u8, Option<(u8, BTreeSet<u8>)>),
        Node(u8, Option<BTreeSet<u8>>),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let facts = |least: usize| prop::collection::btree_set(0_u8..4, least..4);
        let act = prop_oneof![
            (0_u8..4, prop::option::of((0_u8..3, facts(1)))).prop_map(|(id, now)| Act::Alias(id, now)),
            (0_u8..4, prop::option::of(facts(0))).prop_map(|(number, now)| Act::Node(number, now)),
        ];
        prop::collection::vec(act, 0..60)
    }

    proptest! {
        #[test]
        fn a_node_has_exactly_the_aliases_whose_selectors_it_has_and_every_move_is_told(acts in acts()) {
            let mut index = AliasIndex::default();
            let mut nodes = NodeIndex::default();
            let mut entries: BTreeMap<u8, Arc<RegistrationEntry>> = BTreeMap::new();
            let mut told: BTreeSet<(SpiffeId, SpiffeId)> = BTreeSet::new();
            for act in acts {
                let moves = match act {
                    Act::Alias(id, now) => {
                        let now = now.map(|(of, facts)| entry(id, of, &facts));
                        let before = match &now {
                            Some(now) => entries.insert(id, Arc::clone(now)),
                            None => entries.remove(&id),
                        };
                        index.exchange(before.as_ref(), now.as_ref(), &nodes)
                    }
                    Act::Node(number, facts) => {
                        let now = facts.map(|facts| Arc::new(record(number, &facts)));
                        let before = match &now {
                            Some(record) => nodes.insert(HeldNode { record: Arc::clone(record), modified: 0 }),
                            None => nodes.remove(&format!("n{number}").parse().unwrap()),
                        };
                        index.node_changed(before.as_ref().map(|held| &*held.record), now.as_deref())
                    }
                };
                for Move { node, alias, joined } in moves {
                    let changed = if joined { told.insert((node, alias)) } else { told.remove(&(node, alias)) };
                    prop_assert!(changed, "a move that is none");
                }
                let expected: BTreeSet<_> = nodes.listed(None).flat_map(|held| {
                    let has = |entry: &&Arc<RegistrationEntry>| entry.selectors().iter().all(|wanted| held.record.selectors().contains(wanted));
                    entries.values().filter(has).map(|entry| (held.record.spiffe_id().clone(), entry.spiffe_id().clone())).collect::<Vec<_>>()
                }).collect();
                prop_assert_eq!(&told, &expected);
                for (number, of) in (0..4).flat_map(|number| (0..3).map(move |of| (number, of))) {
                    let has = expected.contains(&(node(number), alias(of)));
                    prop_assert_eq!(index.has(&node(number), &alias(of)), has);
                    prop_assert_eq!(index.parents_of(&node(number)).any(|parent| *parent == alias(of)), has);
                    prop_assert_eq!(index.nodes_under(&alias(of)).any(|member| *member == node(number)), has);
                }
            }
        }
    }
}
