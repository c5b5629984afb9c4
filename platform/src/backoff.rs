//! How long to wait after a failure, so that a thousand agents do not come back in the same second.

use std::time::Duration;

/// Waits that double from `first` to `longest`, each with a random part taken off.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Returns waits of at most these lengths, with no failure yet.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Returns the wait after one more failure: half to all of its step, by `fraction` (0 to 1).
    pub fn next(&mut self, fraction: f64) -> Duration {
        let wait = self.after(self.failures, fraction);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Returns the wait after that many failures before this one, without counting it.
    #[must_use]
    pub fn after(&self, failures: u32, fraction: f64) -> Duration {
        let step = self.first.saturating_mul(2_u32.saturating_pow(failures.min(30))).min(self.longest);
        step / 2 + (step / 2).mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// Returns how many failures there were in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts over after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns a fraction from 0 to 1; without randomness the longest wait is as good as any.
#[must_use]
pub fn jitter() -> f64 {
    crate::random::fraction().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(15);

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_success() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let waits: Vec<u64> = (0..10).map(|_| u64::try_from(backoff.next(1.0).as_millis()).unwrap()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST);
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_half_its_step_or_longer_than_the_longest(failures in 0_u32..200, fraction in 0.0_f64..1.0) {
            let wait = Backoff::new(FIRST, LONGEST).after(failures, fraction);
            prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
        }
    }
}
