//! Gives each of many the same bounded share of something, so that none can take it all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At most so many shares for each holder at once. A clone counts the same shares.
#[derive(Debug, Clone)]
pub struct Shares<K> {
    each: usize,
    held: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

/// The shares of users of the machine, by uid.
pub type UidShares = Shares<u32>;

/// One share of its holder (a uid, unless said otherwise), given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash = u32> {
    holder: K,
    permit: Option<OwnedSemaphorePermit>,
    of: Shares<K>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Returns shares of which each holder may have this many at once.
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self {
            each: each.min(Semaphore::MAX_PERMITS),
            held: Arc::default(),
        }
    }

    /// Takes a share now, or none when the holder has all of its own.
    #[must_use]
    pub fn try_take(&self, holder: K) -> Option<Share<K>> {
        let permit = self.semaphore(&holder).try_acquire_owned().ok()?;
        Some(Share {
            holder,
            permit: Some(permit),
            of: self.clone(),
        })
    }

    /// Takes a share as soon as the holder has fewer than all of its own.
    pub async fn take(&self, holder: K) -> Share<K> {
        // The semaphore is never closed, so there always is a permit in the end.
        let permit = self.semaphore(&holder).acquire_owned().await.ok();
        Share {
            holder,
            permit,
            of: self.clone(),
        }
    }

    /// Returns how many shares are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().map(|semaphore| self.each - semaphore.available_permits().min(self.each)).sum()
    }

    fn semaphore(&self, holder: &K) -> Arc<Semaphore> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = held.get(holder) {
            return Arc::clone(semaphore);
        }
        Arc::clone(held.entry(holder.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    /// Gives the share back, and forgets a holder that has none and waits for none.
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.permit = None;
        if held.get(&self.holder).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            held.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_uid_cannot_take_anothers_share() {
        let shares = UidShares::new(2);
        let held = (shares.try_take(1000).unwrap(), shares.try_take(1000).unwrap());
        assert!(shares.try_take(1000).is_none());
        assert!(shares.try_take(1001).is_some());
        assert_eq!(shares.held(), 2);
        drop(held);
        assert_eq!(shares.held(), 0);
        assert!(shares.held.lock().unwrap().is_empty(), "a uid without shares is forgotten");
    }

    #[tokio::test]
    async fn a_share_that_is_given_back_goes_to_who_waits() {
        let shares = UidShares::new(1);
        let first = shares.take(1000).await;
        let waiting = tokio::spawn({
            let shares = shares.clone();
            async move { shares.take(1000).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        let second = waiting.await.unwrap();
        assert!(shares.try_take(1000).is_none());
        drop(second);
        assert!(shares.try_take(1000).is_some());
    }
}
