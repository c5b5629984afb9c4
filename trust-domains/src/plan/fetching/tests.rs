use conformance::covers;
use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::bundle::BundleSource;
use crate::timestamp::Timestamp;
use crate::x509::testing::TestCa;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bundle(root: &TestCa) -> TrustBundle {
    TrustBundle::new("partner.test".parse().unwrap()).with_x509_authority(&root.der).unwrap()
}

fn stored(bundle: TrustBundle) -> PartnerBundle {
    PartnerBundle::new(bundle, BundleSource::Federation, Timestamp::from_unix(1_000), "federation".to_owned())
}

#[covers("FED-04", "BUN-11")]
#[test]
fn fed_04_the_hint_is_kept_to_within_its_bounds_and_bun_11_five_minutes_without_one() {
    for (hint, expected) in [
        (None, 300),
        (Some(0), 30),
        (Some(29), 30),
        (Some(30), 30),
        (Some(31), 31),
        (Some(86_400), 86_400),
        (Some(86_401), 86_400),
        (Some(u64::MAX), 86_400),
    ] {
        assert_eq!(interval(hint.map(seconds)), seconds(expected), "{hint:?}");
    }
}

#[covers("FED-04")]
#[test]
fn what_was_never_tried_is_due_at_once_and_the_rest_an_interval_after_the_last_try() {
    let due = |last, jitter| due(seconds(1_000), last, Some(seconds(300)), Jitter::new(jitter));
    assert_eq!(due(None, 0.0), seconds(1_000));
    assert_eq!(due(Some(seconds(900)), 0.0), seconds(1_200));
    assert_eq!(due(Some(seconds(900)), 1.0), seconds(1_170), "at most a tenth early");
    assert_eq!(due(Some(seconds(10)), 0.0), seconds(310), "overdue: at once");
}

#[covers("FED-04")]
#[test]
fn second_fetches_lie_anywhere_in_the_later_half_of_the_interval() {
    let second = |jitter| second_due(seconds(900), Some(seconds(300)), Jitter::new(jitter));
    assert_eq!([second(0.0), second(0.5), second(1.0)], [1_200, 1_125, 1_050].map(seconds));
    assert_eq!(
        second_due(seconds(0), Some(seconds(1)), Jitter::new(1.0)),
        seconds(15),
        "of the shortest interval too"
    );
}

#[covers("FED-05", "BUN-07")]
#[test]
fn fed_05_an_older_bundle_is_refused_and_an_empty_one_is_taken() {
    let (one, two) = (TestCa::root("one", "partner.test"), TestCa::root("two", "partner.test"));
    let (old, new) = (bundle(&one), bundle(&two));
    let held = stored(old.clone().with_sequence(7));
    let empty = TrustBundle::new("partner.test".parse().unwrap());
    assert_eq!(judge(None, &old, &[]), Verdict::Take);
    assert_eq!(judge(None, &empty, &[]), Verdict::Take, "trust nothing is a word too");
    assert_eq!(judge(Some(&held), &old.clone().with_sequence(7), &[]), Verdict::Same);
    assert_eq!(judge(Some(&held), &new.clone().with_sequence(8), &[]), Verdict::Take);
    assert_eq!(
        judge(Some(&held), &new.clone(), &[]),
        Verdict::Take,
        "without a number the last one fetched counts"
    );
    assert_eq!(judge(Some(&held), &empty.clone().with_sequence(8), &[]), Verdict::Take, "BUN-07");
    for replayed in [new.with_sequence(6), empty.with_sequence(6)] {
        let Verdict::Refuse(refusal) = judge(Some(&held), &replayed, &[]) else {
            panic!("an older one was taken");
        };
        assert_eq!(refusal.code(), Code::BundleOutdated);
    }
}

#[test]
fn a_bundle_of_another_trust_domain_takes_no_place() {
    let held = stored(bundle(&TestCa::root("one", "partner.test")));
    let other = TrustBundle::new("other.test".parse().unwrap());
    assert!(matches!(
        judge(Some(&held), &other, &[]),
        Verdict::Refuse(BundleRefusal::OtherTrustDomain { .. })
    ));
}

#[test]
fn when_a_link_is_accepted_one_of_its_roots_must_be_in_the_bundle() {
    let (one, two) = (TestCa::root("one", "partner.test"), TestCa::root("two", "partner.test"));
    let (pin, other) = (RootHash::of_der(&one.der), RootHash::of_der(&two.der));
    assert_eq!(judge(None, &bundle(&one), &[other, pin]), Verdict::Take);
    let both = bundle(&one).with_x509_authority(&two.der).unwrap();
    assert_eq!(judge(None, &both, &[pin]), Verdict::Take, "others may be beside it");
    let held = stored(bundle(&two).with_sequence(1));
    let empty = TrustBundle::new("partner.test".parse().unwrap());
    for (held, fetched) in [(None, bundle(&two)), (Some(&held), bundle(&two).with_sequence(1)), (None, empty)] {
        let verdict = judge(held, &fetched, &[pin]);
        let Verdict::Refuse(refusal) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(refusal.code(), Code::FederationPinMismatch);
    }
}

proptest! {
    #[test]
    fn a_fetch_is_never_late_and_at_most_a_tenth_early(last in 0_u64..1_000_000, hint in prop::option::of(0_u64..200_000), part in 0.0..=1.0) {
        let hint = hint.map(seconds);
        let due = due(seconds(last), Some(seconds(last)), hint, Jitter::new(part));
        let (least, most) = (interval(hint) - interval(hint) / 10, interval(hint));
        prop_assert!(due >= seconds(last) + least && due <= seconds(last) + most);
        prop_assert!(due >= seconds(last) + seconds(27), "no tight loop, whatever the partner says");
    }

    #[test]
    fn in_whatever_order_numbered_bundles_come_the_newest_stays(numbers in prop::collection::vec(0_u64..20, 1..12).prop_shuffle()) {
        // A publisher gives each number one set of keys (BUN-03).
        let of = |number: u64| {
            let octets = number.to_be_bytes();
            let document = format!(
                r#"{{"spiffe_sequence":{number},"keys":[{{"use":"jwt-svid","kid":"{}","kty":"EC","crv":"P-256","x":"AA","y":"AA"}}]}}"#,
                hex::encode(octets)
            );
            TrustBundle::parse_spiffe_json(&"partner.test".parse().unwrap(), document.as_bytes()).unwrap()
        };
        let mut held: Option<PartnerBundle> = None;
        for number in &numbers {
            let before = held.as_ref().and_then(|held| held.bundle().sequence());
            match judge(held.as_ref(), &of(*number), &[]) {
                Verdict::Take => held = Some(stored(of(*number))),
                Verdict::Same => prop_assert_eq!(before, Some(*number)),
                Verdict::Refuse(_) => prop_assert!(before > Some(*number)),
            }
        }
        prop_assert_eq!(held.and_then(|held| held.bundle().sequence()), numbers.iter().copied().max());
    }
}
