//! Whether the clock may be believed, as it goes: the evidence behind [`ClockEvidence::judge`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trust_domains::plan::clock_evidence::{ClockEvidence, ClockPolicy, ClockVerdict, step_between};
use trust_domains::{Reading, Timestamp};

/// How long both clocks must have counted the same time before the wall clock is stored. What is stored binds: a clock before it stops signing. A machine
/// that starts with a wrong clock, or whose clock jumps ahead, has this long to be put right without any harm. One that is not believed is not stored
/// however steady it is: a clock that ran two years ahead for a day would then be believed, and what has not ended be forgotten.
const STEADY: Duration = Duration::from_secs(60 * 60);

/// Keeps the evidence for one process.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    policy: ClockPolicy,
    evidence: Mutex<Evidence>,
}

#[derive(Debug)]
struct Evidence {
    judged: ClockEvidence,
    /// The reading since which both clocks count the same time.
    steady_since: Reading,
}

impl ClockGuard {
    /// Starts at a reading, with the last time that the store knows.
    pub(crate) fn new(now: Reading, last_stored: Option<Timestamp>, policy: ClockPolicy) -> Self {
        let judged = ClockEvidence { accepted: None, last_stored };
        Self {
            policy,
            evidence: Mutex::new(Evidence { judged, steady_since: now }),
        }
    }

    /// Judges the clock; one that is believed is the evidence for the next judgement.
    pub(crate) fn judge(&self, now: Reading) -> ClockVerdict {
        self.with(|evidence| {
            let verdict = evidence.judged.judge(now, &self.policy);
            if verdict.allows_destroying() {
                evidence.judged.accepted = Some(now);
            }
            if step_between(evidence.steady_since, now).unsigned_abs() > self.policy.skew.as_secs() {
                evidence.steady_since = now;
            }
            verdict
        })
    }

    /// Returns whether this reading may become the last stored time.
    pub(crate) fn may_store(&self, now: Reading) -> bool {
        let verdict = self.judge(now);
        self.with(|evidence| {
            let steady = now.since_boot.saturating_sub(evidence.steady_since.since_boot) >= STEADY;
            steady && verdict.allows_destroying() && evidence.judged.last_stored.is_none_or(|stored| stored < now.wall)
        })
    }

    /// Takes note that this time was stored.
    pub(crate) fn note_stored(&self, at: Timestamp) {
        self.with(|evidence| evidence.judged.last_stored = evidence.judged.last_stored.max(Some(at)));
    }

    /// Takes an operator's word that the clock is right, whatever was stored.
    pub(crate) fn accept(&self, now: Reading) {
        self.with(|evidence| {
            evidence.judged = ClockEvidence {
                accepted: Some(now),
                last_stored: Some(now.wall),
            };
            evidence.steady_since = now;
        });
    }

    /// Returns what the plans take as an argument.
    pub(crate) fn evidence(&self) -> ClockEvidence {
        self.with(|evidence| evidence.judged)
    }

    fn with<R>(&self, act: impl FnOnce(&mut Evidence) -> R) -> R {
        act(&mut self.evidence.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600;

    fn reading(wall: i64, since_boot: i64) -> Reading {
        Reading {
            wall: Timestamp::from_unix(wall),
            since_boot: Duration::from_secs(since_boot.unsigned_abs()),
        }
    }

    fn guard(last_stored: i64) -> ClockGuard {
        ClockGuard::new(reading(1_000_000, 0), Some(Timestamp::from_unix(last_stored)), ClockPolicy::default())
    }

    #[test]
    fn a_clock_before_the_last_stored_time_stops_signing_beyond_the_skew() {
        let guard = guard(1_000_000);
        assert!(guard.judge(reading(999_940, 0)).allows_signing());
        assert!(!guard.judge(reading(999_939, 0)).allows_signing());
    }

    #[test]
    fn a_clock_that_jumps_ahead_and_comes_back_within_the_hour_stops_nothing() {
        let guard = guard(1_000_000);
        assert!(guard.may_store(reading(1_000_000 + HOUR, HOUR)));
        let ahead = reading(1_000_000 + 6 * HOUR, HOUR + 10);
        assert!(!guard.may_store(ahead) && guard.judge(ahead).allows_signing());
        let back = reading(1_000_000 + HOUR + 60, HOUR + 60);
        assert!(!guard.may_store(back), "it is not steady yet");
        assert!(guard.judge(back).allows_signing());
        assert!(guard.may_store(reading(1_000_060 + 2 * HOUR, 2 * HOUR + 60)));
    }

    #[test]
    fn a_wrong_clock_at_start_binds_nobody_once_it_is_put_right() {
        let guard = guard(1_000_000 - HOUR);
        assert!(!guard.may_store(reading(1_000_010, 10)));
        let right = reading(1_000_000 - HOUR + 20, 20);
        assert!(guard.judge(right).allows_signing());
    }

    #[test]
    fn a_clock_that_is_not_believed_is_never_stored_until_an_operator_says_that_it_is_right() {
        let guard = guard(1_000_000);
        let (year, day) = (365 * 24 * HOUR, 24 * HOUR);
        let wild = reading(1_000_000 + 2 * year, 10);
        assert!(!guard.judge(wild).allows_destroying());
        assert!(!guard.may_store(reading(1_000_000 + 2 * year + 3 * day, 10 + 3 * day)), "however steady it is");
        let right = reading(1_000_000 + 3 * day, 3 * day + 20);
        assert!(guard.judge(right).allows_signing(), "it is put right");
        guard.accept(right);
        assert!(guard.judge(right).allows_destroying());
        guard.note_stored(wild.wall);
        assert!(!guard.judge(right).allows_signing(), "stored by a server that believed it once");
        guard.accept(right);
        assert!(guard.judge(right).allows_signing(), "an operator's word is stronger");
    }

    #[test]
    fn a_start_long_after_the_last_stored_time_signs_and_destroys_nothing() {
        let guard = guard(1_000_000 - 30 * 24 * HOUR);
        let verdict = guard.judge(reading(1_000_000, 0));
        assert!(verdict.allows_signing() && !verdict.allows_destroying());
    }

    proptest! {
        #[test]
        fn the_stored_time_never_goes_back(times in proptest::collection::vec(0i64..2_000_000, 1..20)) {
            let guard = guard(0);
            let mut last = guard.evidence().last_stored;
            for time in times {
                guard.note_stored(Timestamp::from_unix(time));
                prop_assert!(guard.evidence().last_stored >= last);
                last = guard.evidence().last_stored;
            }
        }
    }
}
