//! What an agent knows of the partners that its entries name, for the operator of the node: what is held, and why something is not.

use std::collections::BTreeMap;

use trust_domains::clock::Reading;
use trust_domains::wire::agent::PartnerNow;
use trust_domains::wire::standings::PartnerStanding;
use trust_domains::{EntryId, Timestamp, TrustDomain};

use super::cache::SvidCache;
use super::partners::Federated;
use super::state::State;

/// What is known of partners beside their bundles.
#[derive(Default)]
pub(super) struct PartnerFacts {
    held: BTreeMap<TrustDomain, HeldFacts>,
    /// How the server stands with them, as it said last.
    standings: BTreeMap<TrustDomain, PartnerStanding>,
}

/// What is known of a bundle that is held.
struct HeldFacts {
    /// Since when this process holds these keys.
    since: Timestamp,
    /// The newest number that it came under.
    sequence: Option<u64>,
}

impl PartnerFacts {
    /// Takes note of all bundles that came; `has_changed` says whose keys are others than before.
    pub(super) fn note(&mut self, numbers: Vec<(TrustDomain, Option<u64>)>, has_changed: impl Fn(&TrustDomain) -> bool, now: Timestamp) {
        let mut before = std::mem::take(&mut self.held);
        for (partner, sequence) in numbers {
            let same = before.remove(&partner).filter(|_| !has_changed(&partner));
            let since = same.map_or(now, |same| same.since);
            self.held.insert(partner, HeldFacts { since, sequence });
        }
    }
}

/// Returns the numbers of bundles.
pub(super) fn numbers(federated: &Federated) -> Vec<(TrustDomain, Option<u64>)> {
    let bundles = federated.bundles.iter();
    bundles.map(|bundle| (bundle.trust_domain().clone(), bundle.sequence())).collect()
}

impl State {
    /// Takes how the server stands with the partners of this node.
    pub(super) fn note_standings(&mut self, standings: Vec<PartnerStanding>) {
        let by_name = standings.into_iter().map(|standing| (standing.trust_domain.clone(), standing));
        self.partner_facts.standings = by_name.collect();
    }

    fn partner(&self, partner: &TrustDomain) -> PartnerNow {
        let bundle = self.partners.get(partner);
        let facts = self.partner_facts.held.get(partner);
        let standing = self.partner_facts.standings.get(partner);
        let lists = self.partner_lists.of(std::iter::once(partner));
        PartnerNow {
            trust_domain: partner.clone(),
            held: bundle.is_some(),
            held_since: facts.map(|facts| facts.since),
            sequence: facts.and_then(|facts| facts.sequence),
            roots: bundle.map_or(0, |bundle| bundle.x509_authorities().len()),
            crls: lists.get(partner).map_or(0, |lists| lists.ders().len()),
            status: standing.map(|standing| standing.state),
            since: standing.map(|standing| standing.since),
            error: standing.and_then(|standing| standing.error.clone()),
        }
    }

    fn partners_named(&self) -> impl Iterator<Item = &TrustDomain> {
        let named = self.slots.values().flat_map(|slot| &slot.entry.federates_with);
        let named: std::collections::BTreeSet<_> = named.chain(self.partners.given_to_all()).collect();
        named.into_iter()
    }
}

/// How many partners the entries of this node name, by whether their bundles are here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartnerCounts {
    /// Their bundle is here.
    pub held: usize,
    /// It is not.
    pub missing: usize,
}

impl SvidCache {
    /// Returns what is known of the partners that an entry federates with.
    #[must_use]
    pub fn partners_of(&self, entry: &EntryId) -> Vec<PartnerNow> {
        self.read(|state| {
            let Some(slot) = state.slots.get(entry) else { return Vec::new() };
            let named = slot.entry.federates_with.iter().chain(state.partners.given_to_all());
            let named: std::collections::BTreeSet<_> = named.collect();
            named.into_iter().map(|partner| state.partner(partner)).collect()
        })
    }

    /// Returns how many partners are held, and how many are missing.
    #[must_use]
    pub fn partner_counts(&self) -> PartnerCounts {
        self.read(|state| {
            let mut counts = PartnerCounts::default();
            for partner in state.partners_named() {
                match state.partners.get(partner) {
                    Some(_) => counts.held += 1,
                    None => counts.missing += 1,
                }
            }
            counts
        })
    }

    /// Takes how the server stands with the partners of this node.
    pub(crate) fn note_standings(&self, standings: Vec<PartnerStanding>) {
        self.change(|state, _: Reading| state.note_standings(standings));
    }
}
