//! The clock that everything else asks: it is passed in, never reached for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::timestamp::Timestamp;

/// What a clock says at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock: what certificates are dated with. It may jump either way.
    pub wall: Timestamp,
    /// The time since the machine started, time in suspend included: it never goes back. What is waited for is counted on it.
    pub since_boot: Duration,
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Reads both clocks.
    fn now(&self) -> Reading;
}

/// The clock of a process, shared by its parts.
pub type SharedClock = Arc<dyn Clock>;

impl Clock for SharedClock {
    fn now(&self) -> Reading {
        self.as_ref().now()
    }
}

#[cfg(any(test, feature = "test-util"))]
pub use manual::ManualClock;

#[cfg(any(test, feature = "test-util"))]
mod manual {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use super::{Clock, Reading, SharedClock};
    use crate::timestamp::Timestamp;

    /// A clock that tests move by hand. Clones share one pair of hands.
    #[derive(Debug, Clone)]
    pub struct ManualClock(Arc<Mutex<Hands>>);

    #[derive(Debug)]
    struct Hands {
        /// The wall clock at boot, with every step made since.
        wall_at_boot: i64,
        since_boot: Duration,
    }

    impl ManualClock {
        /// Returns a clock at this moment, of a machine that just started.
        #[must_use]
        pub fn new(wall: Timestamp) -> Self {
            Self(Arc::new(Mutex::new(Hands {
                wall_at_boot: wall.unix(),
                since_boot: Duration::ZERO,
            })))
        }

        /// Lets time pass on both clocks.
        pub fn advance(&self, by: Duration) {
            self.with(|hands| hands.since_boot = hands.since_boot.saturating_add(by));
        }

        /// Sets the wall clock forward, or back, without time passing.
        pub fn step_wall(&self, seconds: i64) {
            self.with(|hands| hands.wall_at_boot = hands.wall_at_boot.saturating_add(seconds));
        }

        /// Returns the clock as the parts of a process take it; the hands stay shared.
        #[must_use]
        pub fn shared(&self) -> SharedClock {
            Arc::new(self.clone())
        }

        fn with<R>(&self, act: impl FnOnce(&mut Hands) -> R) -> R {
            act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Reading {
            self.with(|hands| Reading {
                wall: Timestamp::from_unix(hands.wall_at_boot) + hands.since_boot,
                since_boot: hands.since_boot,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_are_shared_and_a_step_moves_the_wall_alone() {
        let hands = ManualClock::new(Timestamp::from_unix(1_000));
        let clock = hands.shared();
        hands.advance(Duration::from_millis(700));
        hands.advance(Duration::from_millis(700));
        assert_eq!(
            clock.now(),
            Reading {
                wall: Timestamp::from_unix(1_001),
                since_boot: Duration::from_millis(1_400)
            }
        );
        hands.step_wall(-3_600);
        assert_eq!(
            clock.now(),
            Reading {
                wall: Timestamp::from_unix(-2_599),
                since_boot: Duration::from_millis(1_400)
            }
        );
    }
}
