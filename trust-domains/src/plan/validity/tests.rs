use std::time::Duration;

use proptest::prelude::{any, proptest};

use super::{SHORTEST_LIFE, Validity, ValidityRefused};
use crate::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);
const SKEW: Duration = Duration::from_secs(60);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_least_of_ttl_and_entry_decides_and_the_issuer_never_clips() {
    let far = NOW + seconds(604_800);
    let table = [
        ("the TTL", 5_400, far, None, Ok((60, 5_400))),
        ("an entry that ends later", 5_400, far, Some(NOW + seconds(6_000)), Ok((60, 5_400))),
        ("an entry that ends sooner", 5_400, far, Some(NOW + seconds(100)), Ok((60, 100))),
        ("the backdating is no longer than the life", 30, far, None, Ok((30, 30))),
        ("an entry that ends in a second", 5_400, far, Some(NOW + seconds(1)), Ok((1, 1))),
        (
            "an entry that ends now",
            5_400,
            far,
            Some(NOW),
            Err(ValidityRefused::EntryExpired { expires_at: NOW }),
        ),
        ("an issuer that ends with it", 5_400, NOW + seconds(5_400), None, Ok((60, 5_400))),
        (
            "an issuer that ends before it",
            5_400,
            NOW + seconds(5_399),
            None,
            Err(ValidityRefused::IssuerTooShort {
                issuer_not_after: NOW + seconds(5_399),
                wanted: NOW + seconds(5_400),
            }),
        ),
        (
            "an issuer that ends after the entry",
            5_400,
            NOW + seconds(200),
            Some(NOW + seconds(100)),
            Ok((60, 100)),
        ),
        ("the shortest life", 10, far, None, Ok((10, 10))),
        ("a life below the shortest", 9, far, None, Err(ValidityRefused::TtlTooShort { ttl: seconds(9) })),
    ];
    for (what, ttl, issuer, entry, expected) in table {
        let planned = Validity::plan(NOW, seconds(ttl), issuer, entry, SKEW);
        let times = planned.map(|validity| (validity.not_before().duration_until(NOW).as_secs(), validity.life().as_secs()));
        assert_eq!(times, expected, "{what}");
    }
}

proptest! {
    #[test]
    fn no_leaf_outlives_its_issuer_its_entry_or_its_ttl(
        now in 0_i64..4_000_000_000,
        ttl_ms in 10_000_u64..100_000_000,
        issuer in -1_000_i64..1_000_000,
        entry in proptest::option::of(-1_000_i64..1_000_000),
        skew in 0_u64..1_000,
    ) {
        let (now, ttl) = (Timestamp::from_unix(now), Duration::from_millis(ttl_ms));
        let at = |offset: i64| Timestamp::from_unix(now.unix() + offset);
        let (issuer, entry) = (at(issuer), entry.map(at));
        match Validity::plan(now, ttl, issuer, entry, seconds(skew)) {
            Ok(validity) => {
                assert!(validity.not_after() <= issuer);
                assert!(entry.is_none_or(|end| validity.not_after() <= end));
                assert!(validity.life() <= ttl && validity.life() > Duration::ZERO);
                assert!(validity.life() + seconds(1) > ttl || Some(validity.not_after()) == entry, "only the entry clips");
                let backdated = validity.not_before().duration_until(now);
                assert_eq!(backdated, seconds(skew).min(validity.life()));
                assert_eq!(validity.issued_at(), now);
            }
            Err(ValidityRefused::EntryExpired { expires_at }) => assert!(expires_at <= now),
            Err(ValidityRefused::IssuerTooShort { issuer_not_after, wanted }) => assert!(issuer_not_after < wanted),
            Err(ValidityRefused::TtlTooShort { .. }) => panic!("{ttl:?} is not below {SHORTEST_LIFE:?}"),
        }
    }

    #[test]
    fn no_time_makes_it_panic(now in any::<i64>(), ttl in any::<u64>(), issuer in any::<i64>(), entry in any::<Option<i64>>(), skew in any::<u64>()) {
        let _ = Validity::plan(Timestamp::from_unix(now), seconds(ttl), Timestamp::from_unix(issuer), entry.map(Timestamp::from_unix), seconds(skew));
    }
}
