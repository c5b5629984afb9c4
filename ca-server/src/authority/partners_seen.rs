//! What partners were seen to hold of our bundle: evidence for the plan, and for operators.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use trust_domains::plan::authority::{BundleKey, OursSeen, Phase};
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

/// What is known of partners that show what they hold. A clone is the same knowledge; whoever fetches from partners writes it.
#[derive(Debug, Clone, Default)]
pub struct PartnersSeen(Arc<RwLock<BTreeMap<TrustDomain, OursSeen>>>);

impl PartnersSeen {
    /// Notes what a partner shows of our bundle.
    pub fn note(&self, partner: &TrustDomain, seen: OursSeen) {
        self.write().insert(partner.clone(), seen);
    }

    /// Notes that a partner shows the same as before.
    pub fn note_again(&self, partner: &TrustDomain, at: Timestamp) {
        if let Some(seen) = self.write().get_mut(partner) {
            *seen = seen.clone().seen_again(at);
        }
    }

    /// Forgets a partner: it does not tell any more, or is none.
    pub fn forget(&self, partner: &TrustDomain) {
        self.write().remove(partner);
    }

    /// Forgets every partner but these.
    pub fn keep(&self, is_partner: impl Fn(&TrustDomain) -> bool) {
        self.write().retain(|partner, _| is_partner(partner));
    }

    /// Returns whether a partner tells what it holds.
    #[must_use]
    pub fn tells(&self, partner: &TrustDomain) -> bool {
        self.read(|seen| seen.contains_key(partner))
    }

    /// Returns whether a partner holds our bundle as it is now; nothing when it does not tell.
    #[must_use]
    pub fn holds(&self, partner: &TrustDomain, ours: &TrustBundle) -> Option<bool> {
        self.read(|seen| Some(seen.get(partner)?.holds(ours)))
    }

    /// Returns the partners that show that they are behind with a key as it is since a moment.
    #[must_use]
    pub fn behind(&self, key: &BundleKey, phase: Phase, since: Timestamp) -> Vec<TrustDomain> {
        self.read(|seen| {
            let behind = seen.iter().filter(|(_, seen)| seen.is_behind(key, phase, since));
            behind.map(|(partner, _)| partner.clone()).collect()
        })
    }

    fn read<R>(&self, look: impl FnOnce(&BTreeMap<TrustDomain, OursSeen>) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<TrustDomain, OursSeen>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
