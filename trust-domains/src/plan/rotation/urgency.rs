//! In which order credentials are renewed when many are due at once, as after a machine slept.
//!
//! - Those in use before those that are only kept.
//! - Of each, those that have none before those that still have one: somebody waits, or is about to fail.
//! - Then those of tainted issuers, first the ones that most see.
//! - Then by what is left of their lives, the least first.

use std::cmp::Reverse;
use std::time::Duration;

/// What the order depends on; smaller is sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    is_unused: bool,
    has_one: bool,
    taint: Reverse<usize>,
    ends_at: Option<Duration>,
}

impl Urgency {
    /// Returns the urgency of a credential that `users` use, whose present one ends at this time since boot (`None` where there is none to show), and was signed by a
    /// tainted issuer or not.
    #[must_use]
    pub fn new(users: usize, ends_at: Option<Duration>, is_tainted: bool) -> Self {
        Self {
            is_unused: users == 0,
            has_one: ends_at.is_some(),
            taint: Reverse(if is_tainted { users } else { 0 }),
            ends_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn those_in_use_come_first_then_those_without_one_then_tainted_ones_then_the_least_life() {
        let order = [
            Urgency::new(1, None, false),
            Urgency::new(9, ends(90), true),
            Urgency::new(2, ends(5), true),
            Urgency::new(1, ends(6), false),
            Urgency::new(50, ends(7), false),
            Urgency::new(0, None, false),
            Urgency::new(0, ends(1), false),
            Urgency::new(0, ends(2), true),
        ];
        assert!(order.is_sorted_by(|one, two| one < two));
    }

    proptest! {
        #[test]
        fn of_credentials_alike_in_use_and_trust_the_one_with_the_least_life_left_is_first(users in 1_usize..5, tainted: bool, lives in prop::collection::vec(0_u64..1_000, 2..50)) {
            let mut due: Vec<_> = lives.iter().map(|life| (Urgency::new(users, ends(*life), tainted), *life)).collect();
            due.sort_by_key(|(urgency, _)| *urgency);
            prop_assert!(due.is_sorted_by_key(|(_, life)| *life));
        }

        #[test]
        fn nothing_that_is_only_kept_comes_before_what_is_used(used in 1_usize..5, used_life: Option<u16>, kept_life: Option<u16>, tainted: bool, kept_tainted: bool) {
            let life = |seconds: Option<u16>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
            prop_assert!(Urgency::new(used, life(used_life), tainted) < Urgency::new(0, life(kept_life), kept_tainted));
        }
    }
}
