//! When a fetch from each partner last succeeded, over a restart: written rarely, since what a crash loses is told again by the next fetch.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trust_domains::{Timestamp, TrustDomain};

use super::Federation;
use crate::registry::{RegistryError, records};
use crate::store::{Key, Prefix, Store};

/// How often successes are written, all in one commit.
const REMEMBER_EVERY: Duration = Duration::from_secs(60 * 60);

/// The stored form.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FetchRecord {
    pub(crate) last_success: Timestamp,
}

/// What is in the store.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    successes: BTreeMap<TrustDomain, Timestamp>,
    written_at: Option<Duration>,
}

impl Remembered {
    pub(super) fn of(&self, partner: &TrustDomain) -> Option<Timestamp> {
        self.successes.get(partner).copied()
    }

    pub(super) fn forget(&mut self, partner: &TrustDomain) {
        self.successes.remove(partner);
    }
}

/// Reads what earlier processes wrote. One that cannot be read is forgotten: the next fetch says it anew.
pub(super) async fn load(store: &dyn Store) -> Result<Remembered, RegistryError> {
    let items = store.snapshot(Prefix::FETCHES).await?.items;
    let read = |key: &Key, value: &[u8]| {
        let record: FetchRecord = records::decode(key, value).ok()?;
        Some((key.name().parse().ok()?, record.last_success))
    };
    Ok(Remembered {
        successes: items.iter().filter_map(|item| read(&item.key, &item.value)).collect(),
        written_at: None,
    })
}

impl Federation {
    /// Writes what is newer than what is stored, if it was not written for an hour.
    pub(super) async fn remember_sometimes(&self) {
        let now = self.clock.now().since_boot;
        let is_due = {
            let mut partners = self.lock();
            let written_at = *partners.remembered.written_at.get_or_insert(now);
            now.saturating_sub(written_at) >= REMEMBER_EVERY
        };
        if is_due {
            self.remember().await;
        }
    }

    /// Writes what is newer than what is stored.
    pub(super) async fn remember(&self) {
        let newer: Vec<(TrustDomain, Timestamp)> = {
            let mut partners = self.lock();
            partners.remembered.written_at = Some(self.clock.now().since_boot);
            let success = |(name, partner): (&TrustDomain, &super::partner::Partner)| Some((name.clone(), partner.last_success()?));
            let is_newer = |(name, at): &(TrustDomain, Timestamp)| partners.remembered.of(name) != Some(*at);
            partners.known.iter().filter_map(success).filter(is_newer).collect()
        };
        match self.editor.remember_fetches(&newer).await {
            Ok(()) => self.lock().remembered.successes.extend(newer),
            Err(error) => tracing::warn!(%error, "when partners were last fetched was not written; it is tried again"),
        }
    }
}
