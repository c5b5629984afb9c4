use std::time::Duration;

use proptest::prelude::{any, proptest};

use super::{ClockEvidence, ClockPolicy, ClockVerdict, step_between};
use crate::clock::Reading;
use crate::timestamp::Timestamp;

const STORED: Timestamp = Timestamp::from_unix(1_795_338_000);
const HOUR: i64 = 3_600;

fn reading(wall: i64, since_boot: i64) -> Reading {
    Reading {
        wall: Timestamp::from_unix(STORED.unix() + wall),
        since_boot: Duration::from_secs(u64::try_from(since_boot).unwrap()),
    }
}

#[test]
fn the_clock_is_believed_by_one_of_two_witnesses_and_never_when_behind() {
    let boot = Some(reading(0, 100));
    let jumped = |by_s| ClockVerdict::Jumped { last_stored: STORED, by_s };
    let behind = |by_s| ClockVerdict::Behind { last_stored: STORED, by_s };
    let table = [
        ("after a start, near the stored time", None, reading(HOUR, 5), ClockVerdict::Agreed),
        ("after a start, a day later to the second", None, reading(24 * HOUR, 5), ClockVerdict::Agreed),
        ("after a start, more than a day later", None, reading(24 * HOUR + 1, 5), jumped(24 * HOUR + 1)),
        (
            "days later, but the other clock counted them",
            boot,
            reading(72 * HOUR, 100 + 72 * HOUR),
            ClockVerdict::Agreed,
        ),
        ("days later, and the other clock did not", boot, reading(72 * HOUR, 101), jumped(72 * HOUR)),
        ("behind by the skew", None, reading(-60, 5), ClockVerdict::Agreed),
        ("behind by more", None, reading(-61, 5), behind(61)),
        (
            "behind, whatever the other clock says",
            Some(reading(-HOUR, 100)),
            reading(-HOUR + 10, 110),
            behind(HOUR - 10),
        ),
    ];
    for (what, accepted, now, expected) in table {
        let evidence = ClockEvidence {
            accepted,
            last_stored: Some(STORED),
        };
        assert_eq!(evidence.judge(now, &ClockPolicy::default()), expected, "{what}");
    }
    let first_start = ClockEvidence {
        accepted: None,
        last_stored: None,
    };
    assert_eq!(first_start.judge(reading(0, 0), &ClockPolicy::default()), ClockVerdict::Agreed);
}

proptest! {
    #[test]
    fn no_reading_makes_it_panic(walls in any::<[i64; 3]>(), boots in any::<[u64; 2]>()) {
        let at = |wall: i64, boot: u64| Reading { wall: Timestamp::from_unix(wall), since_boot: Duration::from_secs(boot) };
        let evidence = ClockEvidence { accepted: Some(at(walls[0], boots[0])), last_stored: Some(Timestamp::from_unix(walls[1])) };
        let verdict = evidence.judge(at(walls[2], boots[1]), &ClockPolicy::default());
        assert!(verdict.allows_signing() || !verdict.allows_destroying(), "what may destroy may sign");
    }

    #[test]
    fn a_step_is_what_the_wall_clock_gained_over_time(elapsed in 0_i64..1_000_000, step in -1_000_000_i64..1_000_000) {
        assert_eq!(step_between(reading(0, 50), reading(elapsed + step, 50 + elapsed)), step);
    }
}
