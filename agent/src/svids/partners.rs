//! The bundles of partner trust domains that entries of this node federate with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trust_domains::wire::node::NodeEntry;
use trust_domains::{TrustBundle, TrustDomain};

/// One bundle for each partner, never pooled; the same bundle keeps its place in memory while its keys stay the same.
#[derive(Default)]
pub(super) struct PartnerBundles {
    bundles: BTreeMap<TrustDomain, Arc<TrustBundle>>,
}

impl PartnerBundles {
    /// Replaces all bundles, and returns the partners whose keys changed, those that came and those that are gone.
    pub(super) fn replace(&mut self, bundles: Vec<TrustBundle>) -> BTreeSet<TrustDomain> {
        let before = std::mem::take(&mut self.bundles);
        let mut changed = BTreeSet::new();
        for bundle in bundles {
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
        changed
    }

    /// Returns the bundles of the partners that these entries federate with.
    pub(super) fn of<'a>(&self, entries: impl Iterator<Item = &'a NodeEntry>) -> BTreeMap<TrustDomain, Arc<TrustBundle>> {
        let held = |name: &TrustDomain| Some((name.clone(), Arc::clone(self.bundles.get(name)?)));
        entries.flat_map(|entry| &entry.federates_with).filter_map(held).collect()
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
            let changed = partners.replace(bundles.iter().map(|&bundle| bundle.clone()).collect());
            changed.iter().map(ToString::to_string).collect()
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
        partners.replace(vec![bundle_of("one.test"), bundle_of("two.test"), bundle_of("three.test")]);
        let federating = |names: &[&str]| NodeEntry {
            federates_with: names.iter().map(|name| name.parse().unwrap()).collect(),
            ..entry("a", 1)
        };
        assert!(partners.of([entry("a", 1)].iter()).is_empty());
        let (first, second) = (federating(&["one.test", "unknown.test"]), federating(&["two.test", "one.test"]));
        assert_eq!(names(&partners.of([&first].into_iter())), ["one.test"]);
        assert_eq!(names(&partners.of([&first, &second].into_iter())), ["one.test", "two.test"]);
    }
}
