//! The machine's clocks, and waiting by them.
//!
//! Tokio's timers stand still while the machine sleeps, and the wall clock jumps. So nobody here sleeps longer than
//! [`LONGEST_SLEEP`] without asking the clock again.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use trust_domains::clock::{Clock, Reading, SharedClock};
use trust_domains::timestamp::Timestamp;

/// The longest sleep before the clock is asked again (design section 4, "Rotation").
pub const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The clocks of the machine: `CLOCK_REALTIME` in whole seconds and `CLOCK_BOOTTIME`, which counts suspend.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Returns the machine's clock, to be passed on.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Reading {
        Reading {
            wall: Timestamp::from_unix(clock_gettime(ClockId::Realtime).tv_sec),
            since_boot: duration(clock_gettime(ClockId::Boottime)),
        }
    }
}

/// Waits until the clock that counts suspend shows `deadline`, late by at most [`LONGEST_SLEEP`] after a suspend.
pub async fn sleep_until_boot(clock: &dyn Clock, deadline: Duration) {
    loop {
        let remaining = deadline.saturating_sub(clock.now().since_boot);
        if remaining.is_zero() {
            return;
        }
        tokio::time::sleep(remaining.min(LONGEST_SLEEP)).await;
    }
}

/// Waits until the wall clock shows `moment`, late by at most [`LONGEST_SLEEP`] after a suspend or a jump.
pub async fn sleep_until_wall(clock: &dyn Clock, moment: Timestamp) {
    loop {
        let Ok(remaining @ 1..) = u64::try_from(clock.now().wall.seconds_until(moment)) else {
            return;
        };
        tokio::time::sleep(Duration::from_secs(remaining).min(LONGEST_SLEEP)).await;
    }
}

/// Converts a reading of `CLOCK_BOOTTIME`, which never is negative.
fn duration(reading: Timespec) -> Duration {
    Duration::new(u64::try_from(reading.tv_sec).unwrap_or(0), u32::try_from(reading.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust_domains::clock::ManualClock;

    #[test]
    fn the_system_clock_shows_this_century_and_a_running_machine() {
        let reading = SystemClock.now();
        assert!(reading.wall.unix() > 1_700_000_000);
        assert!(reading.since_boot > Duration::ZERO);
        assert!(SystemClock.now().since_boot >= reading.since_boot);
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspended_machine_wakes_its_sleepers_within_ten_seconds() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix(1_800_000_000)));
        let deadline = clock.now().since_boot + Duration::from_secs(3_600);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { sleep_until_boot(clock.as_ref(), deadline).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(3_600));
        tokio::time::sleep(LONGEST_SLEEP).await;
        tokio::task::yield_now().await;
        assert!(sleeper.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_by_the_wall_clock_follows_its_jumps() {
        let start = Timestamp::from_unix(1_800_000_000);
        let clock = Arc::new(ManualClock::new(start));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { sleep_until_wall(clock.as_ref(), Timestamp::from_unix(1_800_000_100)).await }
        });
        tokio::time::sleep(Duration::from_secs(30)).await;
        clock.step_wall(99);
        tokio::time::sleep(LONGEST_SLEEP).await;
        assert!(!sleeper.is_finished());
        clock.step_wall(1);
        tokio::time::sleep(LONGEST_SLEEP).await;
        tokio::task::yield_now().await;
        assert!(sleeper.is_finished());
    }
}
