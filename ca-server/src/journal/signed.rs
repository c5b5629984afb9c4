//! How many unexpired certificates and tokens each authority has signed: what an operator sees of it before he takes one away.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trust_domains::Timestamp;

/// Counts by authority, and by the second in which what is counted ends: at most as many numbers as the longest life has seconds, however much is signed.
#[derive(Debug, Default)]
pub(super) struct Signed(Mutex<HashMap<String, BTreeMap<Timestamp, u64>>>);

impl Signed {
    /// Counts what these authorities signed: who, when it ends, how much.
    pub(super) fn add<'a>(&self, added: impl IntoIterator<Item = (&'a str, Timestamp, u64)>) {
        let mut signed = self.lock();
        for (issuer, not_after, count) in added {
            if let Some(ends) = signed.get_mut(issuer) {
                *ends.entry(not_after).or_default() += count;
            } else {
                signed.insert(issuer.to_owned(), BTreeMap::from([(not_after, count)]));
            }
        }
    }

    /// Returns how many are unexpired: `NotAfter` itself is still valid (RFC 5280, 4.1.2.5).
    pub(super) fn unexpired(&self, issuer: &str, now: Timestamp) -> u64 {
        self.lock().get(issuer).map_or(0, |ends| ends.range(now..).map(|(_, count)| count).sum())
    }

    /// Forgets what has ended.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        self.lock().retain(|_, ends| {
            *ends = ends.split_off(&now);
            !ends.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<Timestamp, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
