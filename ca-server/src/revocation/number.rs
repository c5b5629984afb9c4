//! The number of the lists (RFC 5280 section 5.2.3): it goes up over everything that was ever published.

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;

use crate::store::Key;

/// The highest number that was used, as the store keeps it. It is stored before a list with it leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlNumber {
    /// The number.
    pub number: u64,
}

impl CrlNumber {
    /// Returns where it is kept.
    #[must_use]
    pub fn key() -> Key {
        Key::meta("crl-number")
    }

    /// Returns the number after the last one. It keeps up with the clock, so that a server that was restored from a backup goes on above what it had used since.
    #[must_use]
    pub fn after(last: Option<u64>, now: Timestamp) -> Self {
        let by_clock = u64::try_from(now.unix()).unwrap_or_default();
        Self {
            number: last.map_or(1, |last| last.saturating_add(1)).max(by_clock),
        }
    }
}
