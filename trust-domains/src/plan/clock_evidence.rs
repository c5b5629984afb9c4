//! Whether the wall clock can be believed (design section 6): what cannot be undone waits until it is.

use std::time::Duration;

use crate::clock::Reading;
use crate::timestamp::Timestamp;

/// How far the wall clock may be from the last stored time and still be believed after a start.
pub const DEFAULT_MAX_CLOCK_JUMP: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known about the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockEvidence {
    /// A reading of this boot at which the clock was believed; the loop sets it when [`ClockEvidence::judge`] says agreed, or an operator says so.
    pub accepted: Option<Reading>,
    /// The newest wall time that was stored while the clock was believed.
    pub last_stored: Option<Timestamp>,
}

/// The bounds by which the clock is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPolicy {
    /// The skew that machines are allowed.
    pub skew: Duration,
    /// How far from the last stored time the clock is still believed.
    pub max_jump: Duration,
}

impl Default for ClockPolicy {
    fn default() -> Self {
        Self {
            skew: crate::plan::validity::DEFAULT_CLOCK_SKEW,
            max_jump: DEFAULT_MAX_CLOCK_JUMP,
        }
    }
}

/// What the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockVerdict {
    /// The clock is believed.
    Agreed,
    /// The clock is more than the skew before the last stored time: nothing is signed, nothing is destroyed.
    Behind {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds that are missing.
        by_s: i64,
    },
    /// The clock went on further than time did: work goes on, nothing is destroyed.
    Jumped {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds since then, by the wall clock.
        by_s: i64,
    },
}

impl ClockVerdict {
    /// Returns whether certificates may be signed by this clock.
    #[must_use]
    pub fn allows_signing(self) -> bool {
        !matches!(self, Self::Behind { .. })
    }

    /// Returns whether steps that cannot be undone may be taken by this clock.
    #[must_use]
    pub fn allows_destroying(self) -> bool {
        matches!(self, Self::Agreed)
    }
}

impl ClockEvidence {
    /// Judges the clock.
    ///
    /// - More than the skew before the last stored time: behind, whatever else speaks for it.
    /// - Agreed, if since an accepted reading both clocks counted the same time to within the skew, or if it is within `max_jump` of the last stored time.
    /// - A first start has nothing to compare with, and is agreed.
    #[must_use]
    pub fn judge(&self, now: Reading, policy: &ClockPolicy) -> ClockVerdict {
        let Some(last_stored) = self.last_stored else {
            return ClockVerdict::Agreed;
        };
        let since_stored = last_stored.seconds_until(now.wall);
        if since_stored < 0 && now.wall.duration_until(last_stored) > policy.skew {
            return ClockVerdict::Behind {
                last_stored,
                by_s: since_stored.saturating_neg(),
            };
        }
        let near_stored = last_stored.duration_until(now.wall) <= policy.max_jump;
        if near_stored
            || self
                .accepted
                .is_some_and(|accepted| step_between(accepted, now).unsigned_abs() <= policy.skew.as_secs())
        {
            return ClockVerdict::Agreed;
        }
        ClockVerdict::Jumped {
            last_stored,
            by_s: since_stored,
        }
    }
}

/// Returns by how many seconds the wall clock was set forward (or back, negative) between two readings of one boot.
#[must_use]
pub fn step_between(earlier: Reading, later: Reading) -> i64 {
    let by_wall = earlier.wall.seconds_until(later.wall);
    let elapsed = later.since_boot.saturating_sub(earlier.since_boot).as_secs();
    by_wall.saturating_sub(i64::try_from(elapsed).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
