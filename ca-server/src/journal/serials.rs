//! The serials of unexpired certificates that this replica signed.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use trust_domains::{Serial, Timestamp};

/// Serials with the end of their certificates.
#[derive(Debug, Default)]
pub(super) struct Serials(RwLock<HashMap<Serial, Timestamp>>);

impl Serials {
    pub(super) fn add(&self, added: impl IntoIterator<Item = (Serial, Timestamp)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(added);
    }

    pub(super) fn contains(&self, serial: &Serial) -> bool {
        self.read().contains_key(serial)
    }

    /// Forgets those whose certificates have ended: `NotAfter` itself is still valid (RFC 5280, 4.1.2.5).
    pub(super) fn forget_expired(&self, now: Timestamp) {
        let mut serials = self.0.write().unwrap_or_else(PoisonError::into_inner);
        serials.retain(|_, not_after| *not_after >= now);
        // After a storm of short certificates the memory goes back.
        if serials.capacity() > 4 * serials.len().max(1_024) {
            serials.shrink_to_fit();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Serial, Timestamp>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
