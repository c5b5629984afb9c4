//! The newest time that this machine's clock showed, kept over restarts: by a clock that went back, everything that has ended would be valid again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::clock::sleep_until_boot;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::Timestamp;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::restart::newest_seen;
use trust_domains::problem::with_causes;

use crate::node::{Record, SealedError, SealedRecords};
use crate::sync::Link;

/// How often the time is written down: a clock may be behind by as much before the sealed cache is refused, so that it is not refused for the time since the last write.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    last_seen: Timestamp,
}

/// The newest time seen. A clone is the same.
#[derive(Clone)]
pub(crate) struct LastSeen {
    newest: Arc<Mutex<Option<Timestamp>>>,
    clock: SharedClock,
    link: watch::Receiver<Link>,
}

impl LastSeen {
    /// Returns what an earlier run saw, as this one begins.
    pub(crate) fn new(earlier: Option<Timestamp>, clock: SharedClock, link: watch::Receiver<Link>) -> Self {
        Self {
            newest: Arc::new(Mutex::new(earlier)),
            clock,
            link,
        }
    }

    /// Looks at the clock, and returns the newest time seen.
    pub(crate) fn look(&self) -> Timestamp {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = newest_seen(*newest, self.clock.now().wall, self.link.borrow().is_open());
        *newest = Some(seen);
        seen
    }

    /// Writes it down now and then, and at the end.
    pub(crate) async fn keep(self, records: Arc<SealedRecords>, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                () = sleep_until_boot(&self.clock, self.clock.now().since_boot.saturating_add(WRITE_EVERY)) => false,
                () = stop.cancelled() => true,
            };
            let (seen, records) = (self.look(), records.clone());
            // The disk is not for the runtime.
            let written = tokio::task::spawn_blocking(move || write(&records, seen)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(error = %with_causes(&error), "the time was not written down; after a restart an earlier one counts");
            }
            if stopped {
                return;
            }
        }
    }
}

/// Writes the time down.
fn write(records: &SealedRecords, last_seen: Timestamp) -> Result<(), SealedError> {
    let octets = serde_json::to_vec(&Stored { last_seen }).map_err(|source| SealedError::Unknown {
        record: Record::LastSeen,
        source,
    })?;
    records.write(Record::LastSeen, &octets)
}

/// Reads what an earlier run wrote down.
pub(crate) fn read(records: &SealedRecords) -> Result<Option<Timestamp>, SealedError> {
    let Some(octets) = records.read(Record::LastSeen)? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&octets).map_err(|source| SealedError::Unknown {
        record: Record::LastSeen,
        source,
    })?;
    Ok(Some(stored.last_seen))
}
