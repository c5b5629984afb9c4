//! The bundles of partner trust domains that entries of this node federate with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trust_domains::wire::node::NodeEntry;
use trust_domains::{TrustBundle, TrustDomain};

/// What the server says of partners: all their bundles, and with which of them every entry federates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Federated {
    /// The bundles.
    pub(crate) bundles: Vec<TrustBundle>,
    /// The partners that every entry has, whatever it names.
    pub(crate) given_to_all: BTreeSet<TrustDomain>,
}

impl From<Vec<TrustBundle>> for Federated {
    /// Bundles for those who name them.
    fn from(bundles: Vec<TrustBundle>) -> Self {
        Self {
            bundles,
            given_to_all: BTreeSet::new(),
        }
    }
}

/// One bundle for each partner, never pooled; the same bundle keeps its place in memory while its keys stay the same.
#[derive(Default)]
pub(super) struct PartnerBundles {
    bundles: BTreeMap<TrustDomain, Arc<TrustBundle>>,
    given_to_all: BTreeSet<TrustDomain>,
}

/// Which partners are not as they were.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PartnersChanged {
    /// Those whose keys changed, those that came and those that are gone.
    pub(super) bundles: BTreeSet<TrustDomain>,
    /// Whether every entry is concerned: one of them is, or was, every entry's.
    pub(super) everyone: bool,
}

impl PartnerBundles {
    /// Replaces all bundles, and returns what changed.
    pub(super) fn replace(&mut self, federated: Federated) -> PartnersChanged {
        let before = std::mem::take(&mut self.bundles);
        let all_before = std::mem::replace(&mut self.given_to_all, federated.given_to_all);
        let mut changed = BTreeSet::new();
        for bundle in federated.bundles {
            let name = bundle.trust_domain().clone();
            let held = match before.get(&name).filter(|held| held.has_same_keys(&bundle)) {
                Some(held) => Arc::clone(held),
                None => {
                    changed.insert(name.clone());
                    Arc::new(bundle)
                }
            };
            self.bundles.insert(name, held);
        }
        changed.extend(before.into_keys().filter(|name| !self.bundles.contains_key(name)));
        let is_everyones = |name: &TrustDomain| all_before.contains(name) || self.given_to_all.contains(name);
        PartnersChanged {
            everyone: changed.iter().any(is_everyones) || all_before != self.given_to_all,
            bundles: changed,
        }
    }

    /// Returns the bundles of the partners that these entries federate with, and of those that every entry has.
    pub(super) fn of<'a>(&self, entries: impl Iterator<Item = &'a NodeEntry>) -> BTreeMap<TrustDomain, Arc<TrustBundle>> {
        let held = |name: &TrustDomain| Some((name.clone(), Arc::clone(self.bundles.get(name)?)));
        let mut entries = entries.peekable();
        let everyones = entries.peek().map(|_| &self.given_to_all).into_iter().flatten();
        let everyones: Vec<_> = everyones.filter_map(held).collect();
        entries.flat_map(|entry| &entry.federates_with).filter_map(held).chain(everyones).collect()
    }

    /// Returns the partners that every entry has.
    pub(super) fn given_to_all(&self) -> &BTreeSet<TrustDomain> {
        &self.given_to_all
    }

    /// Returns that of one partner.
    pub(super) fn get(&self, partner: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(partner)
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<TrustBundle>> {
        self.bundles.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svids::testing::{bundle_of, entry};

    fn names(bundles: &BTreeMap<TrustDomain, Arc<TrustBundle>>) -> Vec<&str> {
        bundles.keys().map(TrustDomain::as_str).collect()
    }

    #[test]
    fn only_partners_whose_keys_changed_are_changed() {
        let (one, two, other) = (bundle_of("one.test"), bundle_of("two.test"), bundle_of("two.test"));
        let mut partners = PartnerBundles::default();
        let changed = |partners: &mut PartnerBundles, bundles: &[&TrustBundle]| -> Vec<String> {
            let bundles: Vec<TrustBundle> = bundles.iter().map(|&bundle| bundle.clone()).collect();
            let changed = partners.replace(bundles.into());
            assert!(!changed.everyone, "none of them is everyone's");
            changed.bundles.iter().map(ToString::to_string).collect()
        };
        assert_eq!(changed(&mut partners, &[&one, &two]), ["one.test", "two.test"]);
        let held = Arc::clone(&partners.bundles[one.trust_domain()]);
        assert!(
            changed(&mut partners, &[&one.clone().with_sequence(9), &two]).is_empty(),
            "a sequence is no key"
        );
        assert!(Arc::ptr_eq(&held, &partners.bundles[one.trust_domain()]));
        assert_eq!(changed(&mut partners, &[&one, &other]), ["two.test"]);
        assert_eq!(changed(&mut partners, &[&other]), ["one.test"]);
        assert_eq!(changed(&mut partners, &[]), ["two.test"]);
    }

    #[test]
    fn entries_get_the_bundles_of_their_own_partners() {
        let mut partners = PartnerBundles::default();
        partners.replace(vec![bundle_of("one.test"), bundle_of("two.test"), bundle_of("three.test")].into());
        let federating = |names: &[&str]| NodeEntry {
            federates_with: names.iter().map(|name| name.parse().unwrap()).collect(),
            ..entry("a", 1)
        };
        assert!(partners.of([entry("a", 1)].iter()).is_empty());
        let (first, second) = (federating(&["one.test", "unknown.test"]), federating(&["two.test", "one.test"]));
        assert_eq!(names(&partners.of([&first].into_iter())), ["one.test"]);
        assert_eq!(names(&partners.of([&first, &second].into_iter())), ["one.test", "two.test"]);
    }

    #[test]
    fn every_entry_has_the_partners_that_are_given_to_all() {
        let mut partners = PartnerBundles::default();
        let (one, two) = (bundle_of("one.test"), bundle_of("two.test"));
        let given = |to_all: &[&str], bundles: &[&TrustBundle]| Federated {
            bundles: bundles.iter().map(|&bundle| bundle.clone()).collect(),
            given_to_all: to_all.iter().map(|name| name.parse().unwrap()).collect(),
        };
        assert!(partners.replace(given(&["two.test", "unheld.test"], &[&one, &two])).everyone);
        let federating = NodeEntry {
            federates_with: vec!["one.test".parse().unwrap()],
            ..entry("a", 1)
        };
        assert_eq!(names(&partners.of([&entry("b", 1)].into_iter())), ["two.test"]);
        assert_eq!(names(&partners.of([&federating].into_iter())), ["one.test", "two.test"]);
        assert!(partners.of(std::iter::empty()).is_empty(), "who has no entry has no partner");
        assert!(!partners.replace(given(&["two.test", "unheld.test"], &[&bundle_of("one.test"), &two])).everyone);
        let changed = partners.replace(given(&["two.test", "unheld.test"], &[&one]));
        assert!(changed.everyone, "it was every entry's, and is gone");
        partners.replace(given(&["two.test"], &[&one, &two]));
        let changed = partners.replace(given(&[], &[&one, &two]));
        assert!(changed.everyone && changed.bundles.is_empty());
        assert!(partners.of([&entry("b", 1)].into_iter()).is_empty());
    }
}
