//! How the process is, as its parts report it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trust_domains::wire::admin::{Health, HealthState};

/// The shared state of health. Clones are the same state.
#[derive(Debug, Clone, Default)]
pub struct HealthHandle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    serving: bool,
    ending: bool,
    problems: BTreeMap<String, String>,
}

impl HealthHandle {
    /// Returns the health of a process that is starting, without problems.
    #[must_use]
    pub fn starting() -> Self {
        Self::default()
    }

    /// Says that the process does its work from now on.
    pub fn set_ready(&self) {
        self.lock().serving = true;
    }

    /// Says that the process does not do its work (again).
    pub fn set_starting(&self) {
        self.lock().serving = false;
    }

    /// Says that the process takes no new work and finishes what it has. That is final.
    pub fn set_ending(&self) {
        self.lock().ending = true;
    }

    /// Returns whether the process takes no new work any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// Sets the problem of one part; `key` names the part. The text says what to do. Returns whether it is new or differs: time to log it.
    pub fn set_problem(&self, key: &str, text: impl Into<String>) -> bool {
        let text = text.into();
        self.lock().problems.insert(key.to_owned(), text.clone()) != Some(text)
    }

    /// Clears the problem of one part. Returns whether there was one.
    pub fn clear(&self, key: &str) -> bool {
        self.lock().problems.remove(key).is_some()
    }

    /// Returns how the process is now.
    #[must_use]
    pub fn snapshot(&self) -> Health {
        let state = self.lock();
        let problems: Vec<String> = state.problems.values().cloned().collect();
        let word = match (state.serving, problems.is_empty()) {
            (false, _) => HealthState::Starting,
            (true, true) => HealthState::Ready,
            (true, false) => HealthState::Degraded,
        };
        Health { state: word, problems }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_and_go_by_their_part() {
        let health = HealthHandle::starting();
        assert_eq!(health.snapshot().state, HealthState::Starting);
        assert!(health.set_problem("disk", "free some space"));
        assert!(!health.set_problem("disk", "free some space"));
        assert_eq!(health.snapshot().state, HealthState::Starting);
        health.clone().set_ready();
        assert_eq!(
            health.snapshot(),
            Health {
                state: HealthState::Degraded,
                problems: vec!["free some space".to_owned()]
            }
        );
        assert!(health.clear("disk"));
        assert!(!health.clear("disk"));
        assert_eq!(health.snapshot().state, HealthState::Ready);
    }
}
