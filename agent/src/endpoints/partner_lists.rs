//! The revocation lists in a message of the Workload API, whose one field holds those of every trust domain.
//!
//! Whoever reads them finds a CA's list by its name and key identifier. A partner chooses both for its own CAs: one that takes those of another trust domain would
//! have good peers of that one refused, so its lists are left out here. Envoy's secrets and files keep the lists of each trust domain apart, and have them all.

use bytes::Bytes;
use trust_domains::TrustDomain;

use super::partner_room::ROOM;
use crate::svids::{IdentityView, RevocationLists};

/// Returns the lists of the own trust domain, then those of partners whose bundles the workload is given: each partner's whole, as far as they have room beside
/// this many octets of bundles.
pub(super) fn crls(view: &IdentityView, octets_of_bundles: usize) -> Vec<Bytes> {
    let mut partners: Vec<_> = view
        .federated_crls
        .iter()
        .filter(|(partner, lists)| stands_alone(view, partner, lists))
        .collect();
    partners.sort_by_key(|(_, lists)| lists.octets());
    let mut room = ROOM.saturating_sub(octets_of_bundles);
    partners.retain(|(partner, lists)| match room.checked_sub(lists.octets()) {
        Some(left) => {
            room = left;
            true
        }
        None => {
            tracing::warn!(%partner, octets = lists.octets(), "the revocation lists of a partner are left out of a message: together they are too large");
            false
        }
    });
    let of_partners = partners.into_iter().flat_map(|(_, lists)| lists.ders());
    view.crls.ders().iter().chain(of_partners).cloned().collect()
}

/// Returns whether no other trust domain has a list of a CA with one of these key identifiers.
fn stands_alone(view: &IdentityView, partner: &TrustDomain, lists: &RevocationLists) -> bool {
    let mut others = view.federated_crls.iter().filter(|(other, _)| *other != partner).map(|(_, lists)| lists);
    let alone = !lists.shares_a_ca_with(&view.crls) && !others.any(|other| lists.shares_a_ca_with(other));
    if !alone {
        tracing::warn!(%partner, "the revocation lists of a partner are left out of a message: another trust domain has a CA with the same key identifier");
    }
    alone
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::svids::testing::{bundle, revision, with_empty_list};

    fn lists(trust_domain: &str) -> Arc<RevocationLists> {
        Arc::new(RevocationLists::of(&with_empty_list(trust_domain).1))
    }

    fn view(own: Arc<RevocationLists>, partners: &[(&str, &Arc<RevocationLists>)]) -> IdentityView {
        IdentityView {
            svids: Vec::new(),
            bundle: Arc::new(bundle()),
            federated: BTreeMap::new(),
            crls: own,
            federated_crls: partners.iter().map(|(name, lists)| (name.parse().unwrap(), Arc::clone(lists))).collect(),
            revision: revision(1),
        }
    }

    #[test]
    fn the_own_lists_come_first_and_those_of_partners_as_far_as_there_is_room() {
        let (own, one, two) = (lists("td.example"), lists("one.test"), lists("two.test"));
        let view = view(Arc::clone(&own), &[("one.test", &one), ("two.test", &two)]);
        let all = crls(&view, 0);
        assert_eq!((all.len(), &all[0]), (3, &own.ders()[0]));
        let smaller = one.octets().min(two.octets());
        assert_eq!(crls(&view, ROOM - smaller).len(), 2);
        assert_eq!(crls(&view, ROOM), own.ders());
    }

    #[test]
    fn lists_of_a_ca_that_has_the_key_identifier_of_another_domains_are_left_out() {
        let (own, one) = (lists("td.example"), lists("one.test"));
        assert_eq!(crls(&view(Arc::clone(&own), &[("thief.test", &own), ("one.test", &one)]), 0).len(), 2);
        assert!(crls(&view(Arc::default(), &[("thief.test", &one), ("one.test", &one)]), 0).is_empty());
    }
}
