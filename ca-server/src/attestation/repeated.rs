//! Refusals that repeat: an agent asks again and again, and the journal is not to be filled by it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trust_domains::SpiffeId;

/// How often the same refusal is recorded.
const PERIOD: Duration = Duration::from_secs(60);

/// When the refusal of which node was recorded last. It holds at most the nodes on record: others are not refused by name.
#[derive(Debug, Default)]
pub struct RepeatedRefusals(Mutex<HashMap<SpiffeId, Duration>>);

impl RepeatedRefusals {
    /// Returns whether a refusal is to be recorded now, and takes note that it is. `now` is the time since boot.
    pub fn is_due(&self, node: &SpiffeId, now: Duration) -> bool {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.retain(|_, at| now < *at + PERIOD);
        if recorded.contains_key(node) {
            return false;
        }
        recorded.insert(node.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_recorded_once_a_minute() {
        let refusals = RepeatedRefusals::default();
        let node = |name: &str| format!("spiffe://td/troth/agent/x509pop/{name}").parse::<SpiffeId>().unwrap();
        let due = |name: &str, seconds| refusals.is_due(&node(name), Duration::from_secs(seconds));
        assert!(due("a", 100) && !due("a", 159) && due("b", 159) && due("a", 160) && !due("a", 161));
    }
}
