//! The bundles of partner trust domains, and which parents of entries need them: nodes and node aliases with an entry that
//! federates with the partner.
//!
//! A partner may be every entry's (`all_entries` of its relationship): then every node has its bundle, whatever its entries name, and nothing is counted.
//!
//! Needs are counted as entries come and go, so that a change of a bundle costs what the nodes concerned cost, whatever the number of entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use trust_domains::bundle::PartnerBundle;
use trust_domains::{RegistrationEntry, SpiffeBundle, SpiffeId, TrustDomain};

use super::partner_crls::{GivenCrls, HeldCrls, PartnerCrlsIndex};

/// A partner's bundle with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldBundle {
    /// The bundle.
    pub partner: Arc<PartnerBundle>,
    /// The octets of its record.
    pub octets: usize,
    /// The counter of the commit.
    pub modified: u64,
}

/// What a node is given of its partners: bundles, each trust domain once, in order, and the lists that go with some of them.
#[derive(Debug, Clone, Default)]
pub struct Federated {
    /// The bundles.
    pub bundles: Vec<SpiffeBundle>,
    /// The revocation lists.
    pub crls: Vec<GivenCrls>,
    /// Those of these partners that every entry has, whatever it names.
    pub to_all: Vec<TrustDomain>,
}

/// Every partner's bundle, and how many entries of which node federate with which partner.
#[derive(Debug, Default)]
pub struct PartnerIndex {
    bundles: BTreeMap<TrustDomain, HeldBundle>,
    octets: usize,
    crls: PartnerCrlsIndex,
    /// The partners that every entry has.
    to_all: BTreeSet<TrustDomain>,
    needs: HashMap<SpiffeId, BTreeMap<TrustDomain, usize>>,
    needed_by: HashMap<TrustDomain, HashMap<SpiffeId, usize>>,
}

impl PartnerIndex {
    /// Puts a bundle in the place of the one of the same trust domain.
    pub(super) fn insert(&mut self, held: HeldBundle) {
        let (name, modified) = (held.partner.trust_domain().clone(), held.modified);
        self.octets += held.octets;
        if let Some(before) = self.bundles.insert(name.clone(), held) {
            self.octets -= before.octets;
        }
        self.look_at_crls(&name, modified);
    }

    /// Takes a bundle out with a commit.
    pub(super) fn remove(&mut self, partner: &TrustDomain, counter: u64) {
        if let Some(held) = self.bundles.remove(partner) {
            self.octets -= held.octets;
        }
        self.look_at_crls(partner, counter);
    }

    /// Puts the revocation lists of a partner in the place of those before; nothing takes them out.
    pub(super) fn put_crls(&mut self, partner: &TrustDomain, now: Option<HeldCrls>, counter: u64) {
        match now {
            Some(held) => self.crls.insert(partner, held),
            None => drop(self.crls.remove(partner)),
        }
        self.look_at_crls(partner, counter);
    }

    fn look_at_crls(&mut self, partner: &TrustDomain, counter: u64) {
        let bundle = self.bundles.get(partner).map(|held| held.partner.bundle());
        self.crls.look_again(partner, bundle, counter);
    }

    /// Returns the revocation lists of partners.
    #[must_use]
    pub fn crls(&self) -> &PartnerCrlsIndex {
        &self.crls
    }

    /// Takes note of an entry that was and of what it is now. Returns the parents whose nodes are to be given other bundles than before.
    pub(super) fn exchange(&mut self, before: Option<&RegistrationEntry>, now: Option<&RegistrationEntry>) -> Vec<SpiffeId> {
        // What is new comes first: a partner that stays is never without a need in between.
        let mut concerned = Vec::new();
        for (entry, partner) in partners_of(now) {
            if self.count_up(entry.parent_id(), partner) == 1 && self.bundles.contains_key(partner) {
                concerned.push(entry.parent_id().clone());
            }
        }
        for (entry, partner) in partners_of(before) {
            if self.count_down(entry.parent_id(), partner) == 0 && self.bundles.contains_key(partner) {
                concerned.push(entry.parent_id().clone());
            }
        }
        concerned
    }

    fn count_up(&mut self, node: &SpiffeId, partner: &TrustDomain) -> usize {
        let count = self.needs.entry(node.clone()).or_default().entry(partner.clone()).or_default();
        *count += 1;
        let count = *count;
        self.needed_by.entry(partner.clone()).or_default().insert(node.clone(), count);
        count
    }

    fn count_down(&mut self, node: &SpiffeId, partner: &TrustDomain) -> usize {
        let Some(needs) = self.needs.get_mut(node) else { return 0 };
        let left = needs.get(partner).map_or(0, |count| count.saturating_sub(1));
        let needed_by = self.needed_by.entry(partner.clone()).or_default();
        if left == 0 {
            needs.remove(partner);
            needed_by.remove(node);
        } else {
            needs.insert(partner.clone(), left);
            needed_by.insert(node.clone(), left);
        }
        if needed_by.is_empty() {
            self.needed_by.remove(partner);
        }
        if needs.is_empty() {
            self.needs.remove(node);
        }
        left
    }

    /// Returns the bundle of a partner.
    #[must_use]
    pub fn find(&self, partner: &TrustDomain) -> Option<&HeldBundle> {
        self.bundles.get(partner)
    }

    /// Returns the bundles after a trust domain (all without one), in the order of their names.
    pub fn listed<'a>(&'a self, after: Option<&TrustDomain>) -> impl Iterator<Item = &'a HeldBundle> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.bundles.range::<TrustDomain, _>((start, Bound::Unbounded)).map(|(_, held)| held)
    }

    /// Returns the octets of all records together.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Makes a partner every entry's, or ends that. Returns whether that is a change.
    pub(super) fn give_to_all(&mut self, partner: &TrustDomain, given: bool) -> bool {
        match given {
            true => self.to_all.insert(partner.clone()),
            false => self.to_all.remove(partner),
        }
    }

    /// Returns whether every entry has the partner.
    #[must_use]
    pub fn is_everyones(&self, partner: &TrustDomain) -> bool {
        self.to_all.contains(partner)
    }

    /// Returns the partners that at least one of the entries under these parents names, and those that every entry has, whether their bundles are held or not.
    pub fn needed_by<'a>(&'a self, parents: impl Iterator<Item = &'a SpiffeId>) -> BTreeSet<&'a TrustDomain> {
        let named = parents.filter_map(|parent| self.needs.get(parent)).flat_map(BTreeMap::keys);
        named.chain(&self.to_all).collect()
    }

    /// Returns what there is of the partners that at least one of the entries under these parents federates with, and of those that every entry has, each once,
    /// in order.
    #[must_use]
    pub fn given_to<'a>(&'a self, parents: impl Iterator<Item = &'a SpiffeId>) -> Federated {
        let needs: Vec<_> = self
            .needed_by(parents)
            .into_iter()
            .filter_map(|partner| self.bundles.get_key_value(partner))
            .collect();
        let held = |partner: &&TrustDomain| self.bundles.contains_key(*partner);
        Federated {
            bundles: needs.iter().map(|(_, held)| held.partner.document().clone()).collect(),
            crls: needs.iter().filter_map(|(partner, _)| self.crls.given_of(partner)).collect(),
            to_all: self.to_all.iter().filter(held).cloned().collect(),
        }
    }

    /// Returns whether an entry under the parent names the partner.
    #[must_use]
    pub fn needs(&self, node: &SpiffeId, partner: &TrustDomain) -> bool {
        self.needs.get(node).is_some_and(|needs| needs.contains_key(partner))
    }

    /// Returns whether an entry under the parent names a partner whose bundle is held.
    #[must_use]
    pub fn gives_any(&self, parent: &SpiffeId) -> bool {
        let needs = self.needs.get(parent).into_iter().flat_map(BTreeMap::keys);
        needs.into_iter().any(|partner| self.bundles.contains_key(partner))
    }

    /// Returns the parents of entries that name a partner, and how many each has, in no order.
    pub fn parents_of(&self, partner: &TrustDomain) -> impl Iterator<Item = (&SpiffeId, usize)> {
        self.needed_by.get(partner).into_iter().flatten().map(|(node, count)| (node, *count))
    }

    /// Returns how many entries name a partner.
    #[must_use]
    pub fn entries_of(&self, partner: &TrustDomain) -> usize {
        self.parents_of(partner).map(|(_, count)| count).sum()
    }
}

fn partners_of(entry: Option<&RegistrationEntry>) -> impl Iterator<Item = (&RegistrationEntry, &TrustDomain)> {
    entry
        .into_iter()
        .flat_map(|entry| entry.federates_with().iter().map(move |partner| (entry, partner)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trust_domains::bundle::BundleSource;
    use trust_domains::entry::EntrySpec;
    use trust_domains::wire::admin::EntryDraft;
    use trust_domains::{Timestamp, TrustBundle};

    use super::*;

    fn node(number: u8) -> SpiffeId {
        format!("spiffe://example.org/troth/agent/join_token/n{number}").parse().unwrap()
    }

    fn partner(number: u8) -> TrustDomain {
        format!("p{number}.test").parse().unwrap()
    }

    fn bundle(number: u8, octets: usize) -> HeldBundle {
        let bundle = TrustBundle::new(partner(number));
        let partner = PartnerBundle::new(bundle, BundleSource::Manual, Timestamp::from_unix(0), "test".to_owned());
        HeldBundle {
            partner: Arc::new(partner),
            octets,
            modified: 1,
        }
    }

    fn entry(id: u8, on: u8, partners: &BTreeSet<u8>) -> RegistrationEntry {
        let draft = EntryDraft {
            spiffe_id: "/web".to_owned(),
            selectors: vec!["unix:uid:1".to_owned()],
            federates_with: partners.iter().map(|number| partner(*number)).collect(),
            ..EntryDraft::default()
        };
        let spec = EntrySpec::check(&draft, &"example.org".parse().unwrap(), node(on)).unwrap();
        RegistrationEntry::new(format!("e{id}").parse().unwrap(), spec, Timestamp::from_unix(0))
    }

    #[derive(Debug, Clone)]
    enum Act {
        Entry(u8, Option<(u8, BTreeSet<u8>)>),
        Bundle(u8, Option<usize>),
        All(u8, bool),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let entry = (0_u8..6, prop::option::of((0_u8..3, prop::collection::btree_set(0_u8..4, 0..3)))).prop_map(|(id, now)| Act::Entry(id, now));
        let bundle = (0_u8..4, prop::option::of(1_usize..9)).prop_map(|(number, octets)| Act::Bundle(number, octets));
        let all = (0_u8..4, any::<bool>()).prop_map(|(number, given)| Act::All(number, given));
        prop::collection::vec(prop_oneof![6 => entry, 2 => bundle, 1 => all], 0..60)
    }

    proptest! {
        #[test]
        fn a_node_is_given_exactly_the_bundles_its_entries_ask_for_and_is_told_of_every_change(acts in acts()) {
            let mut index = PartnerIndex::default();
            let mut entries: BTreeMap<u8, RegistrationEntry> = BTreeMap::new();
            let mut bundles: BTreeMap<u8, usize> = BTreeMap::new();
            let mut everyones: BTreeSet<u8> = BTreeSet::new();
            let given = |index: &PartnerIndex, on: u8| -> Vec<TrustDomain> {
                index.given_to(std::iter::once(&node(on))).bundles.iter().map(|bundle| bundle.trust_domain().clone()).collect()
            };
            for act in acts {
                let before: Vec<_> = (0..3).map(|on| given(&index, on)).collect();
                let concerned = match act {
                    Act::Entry(id, now) => {
                        let now = now.map(|(on, partners)| entry(id, on, &partners));
                        let concerned = index.exchange(entries.get(&id), now.as_ref());
                        match now {
                            Some(now) => entries.insert(id, now),
                            None => entries.remove(&id),
                        };
                        concerned
                    }
                    Act::Bundle(number, octets) => {
                        match octets {
                            Some(octets) => {
                                index.insert(bundle(number, octets));
                                bundles.insert(number, octets);
                            }
                            None => {
                                index.remove(&partner(number), 1);
                                bundles.remove(&number);
                            }
                        }
                        match everyones.contains(&number) {
                            true => (0..3).map(node).collect(),
                            false => index.parents_of(&partner(number)).map(|(node, _)| node.clone()).collect(),
                        }
                    }
                    Act::All(number, given) => {
                        let was = everyones.contains(&number);
                        prop_assert_eq!(index.give_to_all(&partner(number), given), was != given);
                        match given {
                            true => everyones.insert(number),
                            false => everyones.remove(&number),
                        };
                        (0..3).map(node).collect()
                    }
                };
                prop_assert_eq!(index.octets(), bundles.values().sum::<usize>());
                for on in 0..3_u8 {
                    let of_node = || entries.values().filter(|entry| *entry.parent_id() == node(on));
                    let expected: BTreeSet<_> = of_node()
                        .flat_map(|entry| entry.federates_with().iter().cloned())
                        .chain(everyones.iter().map(|number| partner(*number)))
                        .filter(|name| bundles.keys().any(|number| partner(*number) == *name))
                        .collect();
                    prop_assert_eq!(given(&index, on), expected.into_iter().collect::<Vec<_>>());
                    prop_assert!(before[usize::from(on)] == given(&index, on) || concerned.contains(&node(on)), "node {} was not told", on);
                    for number in 0..4 {
                        let federating = of_node().filter(|entry| entry.federates_with().contains(&partner(number))).count();
                        prop_assert_eq!(index.needs(&node(on), &partner(number)), federating > 0);
                    }
                }
                for number in 0..4 {
                    let federating = entries.values().filter(|entry| entry.federates_with().contains(&partner(number))).count();
                    prop_assert_eq!(index.entries_of(&partner(number)), federating);
                }
            }
            for entry in entries.values() {
                index.exchange(Some(entry), None);
            }
            prop_assert!(index.needs.is_empty() && index.needed_by.is_empty(), "nothing is left behind");
        }
    }
}
