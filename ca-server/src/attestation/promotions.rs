//! When nodes gave up keys, while this process runs: what was begun before is no sign of a copy.
//!
//! A node that goes over to its next key may have a connection open that the one before it opened, and a request on its way there. So a key that was given
//! up shows a copy only on a connection that was accepted later. Connections do not outlive the process: for a key that was given up in the life of an
//! earlier one, every connection is later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::node::{NodeSvid, ProofTime};
use trust_domains::public_key::KeyHash;

/// The keys that were given up since the process started and whose SVIDs have not ended: no connection of an ended one is served.
#[derive(Debug, Default)]
pub struct Promotions(Mutex<HashMap<KeyHash, GivenUp>>);

#[derive(Debug)]
struct GivenUp {
    /// By the clock that counts suspend; unknown while the change is being committed.
    at: Option<Duration>,
    ends_at: Timestamp,
}

/// A key that is being given up: until this is dropped, and it is dropped after the commit, nothing is a sign of a copy.
pub struct GivingUp<'a> {
    promotions: &'a Promotions,
    key: KeyHash,
    clock: &'a SharedClock,
}

impl Promotions {
    /// Notes that a key is being given up.
    #[must_use]
    pub fn begin<'a>(&'a self, svid: &NodeSvid, clock: &'a SharedClock) -> GivingUp<'a> {
        let now = clock.now().wall;
        let mut keys = self.keys();
        keys.retain(|_, given_up| given_up.at.is_none() || now < given_up.ends_at);
        keys.insert(
            svid.key,
            GivenUp {
                at: None,
                ends_at: svid.expires_at,
            },
        );
        drop(keys);
        GivingUp {
            promotions: self,
            key: svid.key,
            clock,
        }
    }

    /// Says whether a connection that was accepted at a moment since boot began after a key was given up.
    #[must_use]
    pub fn time_of(&self, key: &KeyHash, accepted_at: Duration) -> ProofTime {
        match self.keys().get(key) {
            Some(GivenUp { at: None, .. }) => ProofTime::BeforeOrUnknown,
            Some(GivenUp { at: Some(at), .. }) if accepted_at <= *at => ProofTime::BeforeOrUnknown,
            Some(_) | None => ProofTime::After,
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<KeyHash, GivenUp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GivingUp<'_> {
    fn drop(&mut self) {
        let now = self.clock.now().since_boot;
        if let Some(given_up) = self.promotions.keys().get_mut(&self.key) {
            given_up.at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::Serial;
    use trust_domains::clock::ManualClock;

    use super::*;

    #[test]
    fn what_was_accepted_before_a_key_was_given_up_shows_no_copy() {
        let manual = ManualClock::new(Timestamp::from_unix(1_000));
        let clock = manual.shared();
        let promotions = Promotions::default();
        let svid = NodeSvid {
            key: KeyHash::of_spki(b"k"),
            serial: Serial::from_parts([0; 4], [0; 11]),
            expires_at: Timestamp::from_unix(2_000),
        };
        let before = clock.now().since_boot;
        assert_eq!(promotions.time_of(&svid.key, before), ProofTime::After, "given up before this process began");
        let giving_up = promotions.begin(&svid, &clock);
        manual.advance(Duration::from_secs(5));
        let during = clock.now().since_boot;
        assert_eq!(promotions.time_of(&svid.key, during), ProofTime::BeforeOrUnknown);
        drop(giving_up);
        manual.advance(Duration::from_secs(1));
        assert_eq!(promotions.time_of(&svid.key, during), ProofTime::BeforeOrUnknown);
        assert_eq!(promotions.time_of(&svid.key, clock.now().since_boot), ProofTime::After);
    }
}
