//! How often a source may do something: a number at once, then so many a second.

use std::time::Duration;

use tokio::time::Instant;

/// A rate that bursts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once, after a pause.
    pub burst: u32,
    /// How many a second in the long run; at least one.
    pub per_second: u32,
}

impl Rate {
    fn each(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// What is left of a rate: the moment at which all that was taken is given back (the generic cell rate algorithm; one number instead of a count and a time).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowance {
    whole_at: Option<Instant>,
}

impl Allowance {
    /// Returns what is left after one more.
    ///
    /// # Errors
    /// There is none left; how long until there is.
    pub(super) fn after_one(self, rate: Rate, now: Instant) -> Result<Self, Duration> {
        let whole_at = self.whole_at.map_or(now, |whole_at| whole_at.max(now)) + rate.each();
        let owed = whole_at.duration_since(now);
        match owed.checked_sub(rate.each().saturating_mul(rate.burst.max(1))) {
            Some(early) if !early.is_zero() => Err(early),
            _ => Ok(Self { whole_at: Some(whole_at) }),
        }
    }

    /// Returns what is left after more that is taken without asking.
    pub(super) fn after(self, more: u32, rate: Rate, now: Instant) -> Self {
        let from = self.whole_at.map_or(now, |whole_at| whole_at.max(now));
        Self {
            whole_at: Some(from + rate.each().saturating_mul(more)),
        }
    }

    /// Returns whether nothing is missing: then it need not be remembered.
    pub(super) fn is_whole(self, now: Instant) -> bool {
        self.whole_at.is_none_or(|whole_at| whole_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    /// Takes one, if there is one.
    fn take(allowance: &mut Allowance, now: Instant) -> Result<(), Duration> {
        *allowance = allowance.after_one(RATE, now)?;
        Ok(())
    }

    #[test]
    fn after_a_burst_it_is_the_rate_and_who_is_refused_loses_nothing() {
        let (now, mut left) = (Instant::now(), Allowance::default());
        for _ in 0..3 {
            take(&mut left, now).unwrap();
        }
        for _ in 0..10 {
            assert_eq!(take(&mut left, now), Err(Duration::from_millis(500)));
        }
        take(&mut left, now + Duration::from_millis(500)).unwrap();
        assert_eq!(take(&mut left, now + Duration::from_millis(600)), Err(Duration::from_millis(400)));
        assert!(!left.is_whole(now + Duration::from_millis(1_999)));
        assert!(left.is_whole(now + Duration::from_secs(2)));
        for _ in 0..3 {
            take(&mut left, now + Duration::from_secs(9)).unwrap();
        }
    }

    #[test]
    fn what_is_taken_without_asking_is_waited_for() {
        let now = Instant::now();
        let left = Allowance::default().after(5, RATE, now);
        assert_eq!(left.after_one(RATE, now).unwrap_err(), Duration::from_millis(1_500));
        assert!(left.after_one(RATE, now + Duration::from_millis(1_500)).is_ok());
    }
}
