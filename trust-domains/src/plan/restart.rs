//! Whether what an earlier run of an agent sealed may be served by this one: decided before anything of it is shown.
//!
//! - Only on the machine that sealed it. A copied directory is a copied set of keys: another machine gets its own from the server.
//! - Only by a clock that has not gone back by more than the skew since the earlier run last looked: by an earlier clock everything that has ended is valid again.
//!   A clock that is put right, as a machine without a battery has it after its start, opens the cache at that moment.
//! - Each SVID in it has its own end, that of its entry and that of the node besides; those are judged at each moment, here and by every other agent alike.

use std::time::Duration;

use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;

/// Names a machine: a hash that says nothing of the machine's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineTag(pub [u8; 16]);

/// What an earlier run said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedBy {
    /// The machine, if it had a number.
    pub machine: Option<MachineTag>,
    /// The newest time that the run saw.
    pub last_seen: Option<Timestamp>,
}

/// Why a sealed cache is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartRefused {
    /// The clock went back.
    #[error("this machine's clock says {now}, and {last_seen} was seen already")]
    ClockBehind {
        /// The clock now.
        now: Timestamp,
        /// What was seen.
        last_seen: Timestamp,
    },
    /// It was sealed elsewhere, or this machine has no number to compare.
    #[error("the cache was sealed on another machine, or this machine's number is not readable any more")]
    OtherMachine,
}

impl Coded for RestartRefused {
    fn code(&self) -> Code {
        match self {
            Self::ClockBehind { .. } => Code::ClockBehind,
            Self::OtherMachine => Code::CacheOfOtherMachine,
        }
    }
}

impl RestartRefused {
    /// Returns the wall time from which on the same cache is served; `None` for never.
    #[must_use]
    pub fn until(&self, skew: Duration) -> Option<Timestamp> {
        match self {
            Self::ClockBehind { last_seen, .. } => Some(*last_seen - skew),
            Self::OtherMachine => None,
        }
    }
}

/// Decides whether a cache may be served now, on this machine.
///
/// A cache that names no machine was sealed where none has a number, as in many containers, or by a version that did not ask: it is served anywhere.
///
/// # Errors
/// [`RestartRefused`]: another machine first, since waiting does not help there.
pub fn admit(sealed_by: &SealedBy, machine: Option<MachineTag>, now: Timestamp, skew: Duration) -> Result<(), RestartRefused> {
    if sealed_by.machine.is_some() && sealed_by.machine != machine {
        return Err(RestartRefused::OtherMachine);
    }
    match sealed_by.last_seen {
        Some(last_seen) if now < last_seen - skew => Err(RestartRefused::ClockBehind { now, last_seen }),
        _ => Ok(()),
    }
}

/// Returns the time to remember as the newest seen.
///
/// With the server there its word stands beside the clock's, and what is held is as new as the clock: a clock that was ahead and was put right is believed again.
/// Without it the newest stays the newest.
#[must_use]
pub fn newest_seen(before: Option<Timestamp>, now: Timestamp, server_is_there: bool) -> Timestamp {
    match before {
        Some(before) if !server_is_there => before.max(now),
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SKEW: Duration = Duration::from_secs(60);
    const HERE: MachineTag = MachineTag([1; 16]);
    const ELSEWHERE: MachineTag = MachineTag([2; 16]);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(1_800_000_000 + second)
    }

    fn sealed(machine: Option<MachineTag>, seen: Option<i64>) -> SealedBy {
        SealedBy {
            machine,
            last_seen: seen.map(at),
        }
    }

    #[test]
    fn a_cache_is_served_on_its_own_machine_and_one_that_names_none_anywhere() {
        for (sealed_on, here, served) in [
            (Some(HERE), Some(HERE), true),
            (Some(ELSEWHERE), Some(HERE), false),
            (Some(ELSEWHERE), None, false),
            (None, Some(HERE), true),
            (None, None, true),
        ] {
            let admitted = admit(&sealed(sealed_on, Some(0)), here, at(1), SKEW);
            assert_eq!(admitted.is_ok(), served, "{sealed_on:?} {here:?}");
        }
    }

    #[test]
    fn a_clock_may_be_behind_the_last_one_seen_by_the_skew_and_no_second_more() {
        for (now, served) in [(1, true), (0, true), (-60, true), (-61, false), (-1_000_000_000, false)] {
            let admitted = admit(&sealed(Some(HERE), Some(0)), Some(HERE), at(now), SKEW);
            assert_eq!(admitted.is_ok(), served, "{now}");
            if let Err(refused) = admitted {
                assert_eq!((refused.code(), refused.until(SKEW)), (Code::ClockBehind, Some(at(-60))));
            }
        }
        assert!(admit(&sealed(None, None), None, at(-5_000), SKEW).is_ok(), "nothing was seen");
    }

    proptest! {
        #[test]
        fn what_is_refused_for_its_clock_is_served_from_the_moment_it_names_and_not_before(seen in -100_000_i64..100_000, now in -100_000_i64..100_000) {
            let sealed = sealed(Some(HERE), Some(seen));
            if let Err(refused) = admit(&sealed, Some(HERE), at(now), SKEW) {
                let from = refused.until(SKEW).unwrap();
                prop_assert!(admit(&sealed, Some(HERE), from, SKEW).is_ok());
                prop_assert!(admit(&sealed, Some(HERE), from - Duration::from_secs(1), SKEW).is_err());
            }
        }

        #[test]
        fn without_its_server_what_was_seen_never_goes_back_and_a_run_that_saw_it_is_admitted(times in prop::collection::vec(-100_000_i64..100_000, 1..20)) {
            let mut seen = None;
            for time in times {
                let next = newest_seen(seen, at(time), false);
                prop_assert!(next >= at(time) && seen.is_none_or(|seen| next >= seen));
                let believed = SealedBy { machine: None, last_seen: Some(next) };
                prop_assert!(admit(&believed, None, next, SKEW).is_ok());
                prop_assert_eq!(newest_seen(Some(next), at(time), true), at(time));
                seen = Some(next);
            }
        }
    }
}
