//! Gives each user of the machine the same bounded share of something, so that none can take it all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At most so many shares for each uid at once. A clone counts the same shares.
#[derive(Debug, Clone)]
pub struct UidShares {
    each: usize,
    held: Arc<Mutex<HashMap<u32, Arc<Semaphore>>>>,
}

/// One share of a uid, given back when dropped.
#[derive(Debug)]
pub struct Share {
    uid: u32,
    permit: Option<OwnedSemaphorePermit>,
    of: UidShares,
}

impl UidShares {
    /// Returns shares of which each uid may hold this many at once.
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self {
            each: each.min(Semaphore::MAX_PERMITS),
            held: Arc::default(),
        }
    }

    /// Takes a share now, or none when the uid holds all of its own.
    #[must_use]
    pub fn try_take(&self, uid: u32) -> Option<Share> {
        let permit = self.semaphore(uid).try_acquire_owned().ok()?;
        Some(Share {
            uid,
            permit: Some(permit),
            of: self.clone(),
        })
    }

    /// Takes a share as soon as the uid holds fewer than all of its own.
    pub async fn take(&self, uid: u32) -> Share {
        // The semaphore is never closed, so there always is a permit in the end.
        let permit = self.semaphore(uid).acquire_owned().await.ok();
        Share { uid, permit, of: self.clone() }
    }

    /// Returns how many shares are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().map(|semaphore| self.each - semaphore.available_permits().min(self.each)).sum()
    }

    fn semaphore(&self, uid: u32) -> Arc<Semaphore> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.entry(uid).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

impl Drop for Share {
    /// Gives the share back, and forgets a uid that holds none and waits for none.
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.permit = None;
        if let Entry::Occupied(semaphore) = held.entry(self.uid)
            && Arc::strong_count(semaphore.get()) == 1
        {
            semaphore.remove();
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
