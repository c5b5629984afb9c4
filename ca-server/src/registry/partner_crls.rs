//! The revocation lists of partners, and what of them goes to nodes.
//!
//! They are stored, so that a restart without the partner un-revokes nothing. What goes to nodes is what the partner's bundle stands for now: who takes a root
//! out of the bundle takes its lists with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trust_domains::crl::{CrlSet, CrlSetRefused};
use trust_domains::wire::crls::{CrlsWhole, PartnerCrls};
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

/// The stored form of the lists of a partner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartnerCrlsRecord {
    /// When lists were taken that are others than those before.
    pub taken_at: Timestamp,
    /// The lists, each with its CA.
    pub lists: CrlsWhole,
}

impl PartnerCrlsRecord {
    /// Returns the record of a set.
    #[must_use]
    pub fn of(set: &CrlSet, taken_at: Timestamp) -> Self {
        Self { taken_at, lists: set.whole() }
    }
}

/// The lists of a partner with the commit that last changed them.
#[derive(Debug, Clone)]
pub struct HeldCrls {
    /// All of them.
    pub set: Arc<CrlSet>,
    /// When they were taken.
    pub taken_at: Timestamp,
    /// The octets of the record.
    pub octets: usize,
    /// The counter of the commit.
    pub modified: u64,
    /// What of them goes to nodes, and since which commit.
    given: Arc<CrlSet>,
    given_since: u64,
}

/// What a node is given of the lists of one partner.
#[derive(Debug, Clone)]
pub struct GivenCrls {
    /// Whose they are.
    pub trust_domain: TrustDomain,
    /// The lists.
    pub set: Arc<CrlSet>,
    /// The commit since which they are given: another one means other lists.
    pub since: u64,
}

impl GivenCrls {
    /// Returns the lists as they travel.
    #[must_use]
    pub fn wire(&self) -> PartnerCrls {
        PartnerCrls {
            trust_domain: self.trust_domain.clone(),
            lists: self.set.whole(),
        }
    }
}

impl HeldCrls {
    /// Reads a record: each list is verified under the CA beside it, as it was before it was stored.
    ///
    /// # Errors
    /// A list is not its CA's, or cannot be read.
    pub fn read(record: &PartnerCrlsRecord, octets: usize, modified: u64) -> Result<Self, CrlSetRefused> {
        Ok(Self {
            set: Arc::new(CrlSet::read_of_partner(&record.lists)?),
            taken_at: record.taken_at,
            octets,
            modified,
            given: Arc::default(),
            given_since: modified,
        })
    }
}

/// The lists of every partner.
#[derive(Debug, Default)]
pub struct PartnerCrlsIndex {
    held: BTreeMap<TrustDomain, HeldCrls>,
    octets: usize,
}

impl PartnerCrlsIndex {
    pub(super) fn insert(&mut self, partner: &TrustDomain, held: HeldCrls) {
        let before = self.remove(partner);
        self.octets += held.octets;
        let held = match before {
            // The same lists, taken again: nodes have them.
            Some(before) if before.set == held.set => HeldCrls {
                given: before.given,
                given_since: before.given_since,
                ..held
            },
            _ => held,
        };
        self.held.insert(partner.clone(), held);
    }

    pub(super) fn remove(&mut self, partner: &TrustDomain) -> Option<HeldCrls> {
        let removed = self.held.remove(partner)?;
        self.octets -= removed.octets;
        Some(removed)
    }

    /// Looks again at what the partner's bundle stands for, after one of both changed with a commit.
    pub(super) fn look_again(&mut self, partner: &TrustDomain, bundle: Option<&TrustBundle>, counter: u64) {
        let Some(held) = self.held.get_mut(partner) else { return };
        let given = bundle.map(|bundle| held.set.under(bundle)).unwrap_or_default();
        if given != *held.given {
            (held.given, held.given_since) = (Arc::new(given), counter);
        }
    }

    /// Returns what is held of a partner.
    #[must_use]
    pub fn find(&self, partner: &TrustDomain) -> Option<&HeldCrls> {
        self.held.get(partner)
    }

    /// Returns what nodes are given of a partner; nothing when there is no list to give.
    #[must_use]
    pub fn given_of(&self, partner: &TrustDomain) -> Option<GivenCrls> {
        let held = self.held.get(partner).filter(|held| !held.given.is_empty())?;
        Some(GivenCrls {
            trust_domain: partner.clone(),
            set: Arc::clone(&held.given),
            since: held.given_since,
        })
    }

    /// Returns the octets of all records together.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets
    }
}
