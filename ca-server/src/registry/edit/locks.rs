//! Two entries of the same identity are never made at the same moment.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use trust_domains::SpiffeId;

/// How many changes of different identities go on side by side: their commits are synced as a group, so more gains nothing.
const STRIPES: usize = 64;

/// Locks by identity. They are held from the look at the registry until the registry shows the change.
#[derive(Debug)]
pub(super) struct IdentityLocks {
    stripes: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

/// Holds the locks of some identities.
#[derive(Debug)]
#[must_use]
pub(super) struct IdentitiesLocked {
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Default for IdentityLocks {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl IdentityLocks {
    /// Waits for the locks of these identities, always in the same order, so that nobody waits in a circle.
    pub(super) async fn lock<'a>(&self, identities: impl IntoIterator<Item = &'a SpiffeId>) -> IdentitiesLocked {
        let stripes: BTreeSet<_> = identities.into_iter().map(|identity| self.stripe(identity)).collect();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in self
            .stripes
            .iter()
            .enumerate()
            .filter_map(|(place, lock)| stripes.contains(&place).then_some(lock))
        {
            guards.push(Arc::clone(stripe).lock_owned().await);
        }
        IdentitiesLocked { _guards: guards }
    }

    /// Waits for all locks: a file may hold any identity, and what is not in it.
    pub(super) async fn lock_all(&self) -> IdentitiesLocked {
        let mut guards = Vec::with_capacity(STRIPES);
        for stripe in &self.stripes {
            guards.push(Arc::clone(stripe).lock_owned().await);
        }
        IdentitiesLocked { _guards: guards }
    }

    fn stripe(&self, identity: &SpiffeId) -> usize {
        usize::try_from(self.hasher.hash_one(identity) % STRIPES as u64).unwrap_or_default()
    }
}
