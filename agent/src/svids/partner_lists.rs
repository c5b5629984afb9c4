//! The revocation lists of partners: which are held, and which of them are delivered beside their bundles.
//!
//! - They go to whoever is given the partner's bundle, and are of use with that bundle only.
//! - The server sends complete sets. What the bundle that is held does not stand for is not delivered, and nothing is once a list has ended: programs refuse good
//!   peers over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trust_domains::clock::Reading;
use trust_domains::crl::CrlSet;
use trust_domains::wire::crls::PartnerCrls;
use trust_domains::{EntryId, Timestamp, TrustBundle, TrustDomain};

use super::lists::RevocationLists;
use super::partner_facts;
use super::partners::{Federated, PartnerBundles, PartnersChanged};
use super::state::State;

/// The lists of each partner that has any.
#[derive(Default)]
pub(super) struct PartnerLists {
    held: BTreeMap<TrustDomain, HeldLists>,
}

struct HeldLists {
    set: CrlSet,
    /// When the first of those that are delivered ends.
    ends_at: Option<Timestamp>,
    delivered: Arc<RevocationLists>,
}

impl HeldLists {
    fn new(set: CrlSet) -> Self {
        Self {
            set,
            ends_at: None,
            delivered: Arc::default(),
        }
    }

    /// Puts in place what the bundle stands for and has not ended. Returns whether that changes what is delivered.
    fn deliver(&mut self, bundle: Option<&TrustBundle>, now: Timestamp) -> bool {
        let set = bundle.map(|bundle| self.set.under(bundle)).unwrap_or_default();
        self.ends_at = set.ends_at().filter(|at| *at > now);
        let has_ended = set.ends_at().is_some_and(|at| at <= now);
        self.put(if has_ended { RevocationLists::default() } else { RevocationLists::of(&set) })
    }

    fn put(&mut self, lists: RevocationLists) -> bool {
        let changed = lists != *self.delivered;
        if changed {
            self.delivered = Arc::new(lists);
        }
        changed
    }

    fn end(&mut self, now: Timestamp) -> bool {
        let ends = self.ends_at.take_if(|at| *at <= now).is_some();
        ends && self.put(RevocationLists::default())
    }
}

impl PartnerLists {
    /// Takes what changed: an empty set withdraws the lists of a partner, and what is of no bundle that is held goes. Returns whose delivered lists changed.
    fn replace(
        &mut self,
        news: Vec<(TrustDomain, CrlSet)>,
        bundles: &PartnerBundles,
        changed_bundles: &BTreeSet<TrustDomain>,
        now: Timestamp,
    ) -> BTreeSet<TrustDomain> {
        let mut look_at = changed_bundles.clone();
        let mut changed = BTreeSet::new();
        for (partner, set) in news {
            look_at.insert(partner.clone());
            let held = self.held.entry(partner).or_insert_with(|| HeldLists::new(CrlSet::default()));
            held.set = set;
        }
        for partner in look_at {
            if let Some(held) = self.held.get_mut(&partner)
                && held.deliver(bundles.get(&partner).map(AsRef::as_ref), now)
            {
                changed.insert(partner);
            }
        }
        self.held.retain(|partner, held| !held.set.is_empty() && bundles.get(partner).is_some());
        changed
    }

    /// Withdraws what has ended. Returns whose.
    fn end(&mut self, now: Timestamp) -> BTreeSet<TrustDomain> {
        let ended = self.held.iter_mut().filter_map(|(partner, held)| held.end(now).then(|| partner.clone()));
        ended.collect()
    }

    /// Returns what is delivered beside these bundles.
    pub(super) fn of<'a>(&self, partners: impl Iterator<Item = &'a TrustDomain>) -> BTreeMap<TrustDomain, Arc<RevocationLists>> {
        let delivered = |partner: &TrustDomain| Some(&self.held.get(partner)?.delivered).filter(|lists| !lists.is_empty()).cloned();
        partners.filter_map(|partner| Some((partner.clone(), delivered(partner)?))).collect()
    }

    /// Returns what is worth keeping over a restart.
    pub(super) fn worth_keeping(&self) -> Vec<(TrustDomain, CrlSet)> {
        self.held.iter().map(|(partner, held)| (partner.clone(), held.set.clone())).collect()
    }
}

/// Reads the lists of partners. Those that cannot be read are none: a partner costs nobody else anything.
pub(crate) fn read(told: &[PartnerCrls]) -> Vec<(TrustDomain, CrlSet)> {
    let read = |told: &PartnerCrls| {
        let set = CrlSet::read_of_partner(&told.lists);
        let partner = &told.trust_domain;
        let set = set.inspect_err(|error| tracing::warn!(trust_domain = %partner, %error, "the revocation lists of a partner cannot be used"));
        (partner.clone(), set.unwrap_or_default())
    };
    told.iter().map(read).collect()
}

impl State {
    /// Puts the bundles and the lists of partners in place. Only views of entries that federate with a partner of which one of both changed are told.
    pub(super) fn replace_partners(&mut self, federated: Option<Federated>, mut lists: Vec<(TrustDomain, CrlSet)>, are_all: bool, now: Reading) {
        let numbers = federated.as_ref().map(partner_facts::numbers);
        let PartnersChanged {
            bundles: mut changed,
            everyone,
        } = federated.map(|federated| self.partners.replace(federated)).unwrap_or_default();
        if let Some(numbers) = numbers {
            self.partner_facts.note(numbers, |partner| changed.contains(partner), now.wall);
        }
        if !changed.is_empty() || everyone {
            self.trust_sender.send_replace(());
        }
        if are_all {
            let named: BTreeSet<TrustDomain> = lists.iter().map(|(partner, _)| partner.clone()).collect();
            let others = self.partner_lists.held.keys().filter(|partner| !named.contains(*partner));
            lists.extend(others.map(|partner| (partner.clone(), CrlSet::default())).collect::<Vec<_>>());
        }
        let lists_changed = self.partner_lists.replace(lists, &self.partners, &changed, now.wall);
        changed.extend(lists_changed);
        self.mark_federating(&changed, everyone);
    }

    /// Withdraws lists of partners that have ended. Returns whether there were any.
    pub(super) fn end_partner_lists(&mut self, now: Reading) -> bool {
        let ended = self.partner_lists.end(now.wall);
        self.mark_federating(&ended, false);
        !ended.is_empty()
    }

    /// Marks the views of entries that federate with one of these partners, or all.
    fn mark_federating(&mut self, partners: &BTreeSet<TrustDomain>, everyone: bool) {
        let everyone = everyone || partners.iter().any(|partner| self.partners.given_to_all().contains(partner));
        if partners.is_empty() && !everyone {
            return;
        }
        let federates = |id: &EntryId| {
            let slot = self.slots.get(id);
            slot.is_some_and(|slot| slot.entry.federates_with.iter().any(|partner| partners.contains(partner)))
        };
        for view in self.views.values_mut() {
            view.dirty |= view.entries.iter().any(|(_, id)| everyone || federates(id));
        }
    }
}

#[cfg(test)]
mod tests;
