//! Whether a process was not running for a while: the machine slept, the process was stopped, or a virtual machine was held.
//!
//! A watcher sleeps for a moment that it knows and looks at the clock that counts suspend. Where far more has passed, nothing else here ran either: connections are
//! those of another time, retries wait on timers that stood still, and much is due at once. A wall clock that was set is no matter of this: the rotation plan sees it.

use std::time::Duration;

/// The pause between two looks: with the machine's own wake-up a suspend is seen within this.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// More than this beyond the pause is no busy machine any more. Servers and agents tell each other every few seconds that they are there.
pub const LATE: Duration = Duration::from_secs(10);

/// Returns for how long the process did not run, of the time between two looks on the clock that counts suspend; `None` while it ran.
#[must_use]
pub fn away_for(before: Duration, now: Duration) -> Option<Duration> {
    let missed = now.saturating_sub(before).saturating_sub(LOOK_EVERY);
    (missed > LATE).then_some(missed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_absence_is_seen_that_is_longer_than_the_bound_and_none_that_is_shorter(before in 0_u64..1_000_000_000, passed in 0_u64..100_000_000) {
            let (before, passed) = (Duration::from_millis(before), Duration::from_millis(passed));
            let away = away_for(before, before + passed);
            prop_assert_eq!(away.is_some(), passed > LOOK_EVERY + LATE);
            prop_assert!(away.is_none_or(|away| away + LOOK_EVERY == passed));
        }
    }

    #[test]
    fn a_clock_that_does_not_move_shows_no_absence() {
        assert_eq!(away_for(Duration::from_secs(9), Duration::from_secs(9)), None);
        assert_eq!(away_for(Duration::from_secs(9), Duration::ZERO), None);
    }
}
