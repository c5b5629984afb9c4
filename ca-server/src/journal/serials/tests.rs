use proptest::prelude::*;
use trust_domains::SpiffeId;
use trust_domains::revocation::{IssuedCertificate, RevocationCause};

use super::*;

const EPOCH: u64 = 7;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(1_795_338_000 + i64::try_from(seconds).unwrap())
}

fn serial(number: u64) -> Serial {
    let mut random = [0; 11];
    random[3..].copy_from_slice(&number.to_be_bytes());
    Serial::from_parts([1, 2, 3, 4], random)
}

fn id(number: u8) -> SpiffeId {
    format!("spiffe://td.example/{number}").parse().unwrap()
}

fn rule(target: RevocationTarget, through: u64) -> RevocationRule {
    RevocationRule {
        target,
        bound: RevocationBound {
            before: Some(at(through)),
            through,
            epoch: EPOCH,
        },
        made_at: at(0),
        until: at(10_000),
        cause: RevocationCause::Ordered,
        because: None,
        actor: "test".to_owned(),
    }
}

/// One certificate for each number: identity, entry and node by small numbers, so that several share them.
fn issued(serials: &Serials, names: &[(u8, u8, u8)]) {
    for (seq, (identity, entry, node)) in (1..).zip(names) {
        serials.add([Announced {
            seq,
            at: at(seq),
            serial: serial(seq),
            not_after: at(1_000 + seq),
            spiffe_id: id(*identity).as_str(),
            entry: Some(&format!("e{entry}")),
            node: Some(id(*node).as_str()),
        }]);
    }
}

fn targets() -> impl Strategy<Value = RevocationTarget> {
    prop_oneof![
        (1_u64..30).prop_map(|number| RevocationTarget::Serial { serial: serial(number) }),
        (0_u8..4).prop_map(|number| RevocationTarget::SpiffeId { spiffe_id: id(number) }),
        (0_u8..4).prop_map(|number| RevocationTarget::Node { spiffe_id: id(number) }),
        (0_u8..4).prop_map(|number| RevocationTarget::Entry {
            entry: format!("e{number}").parse().unwrap()
        }),
    ]
}

proptest! {
    #[test]
    fn the_index_finds_exactly_what_the_rules_match(
        names in proptest::collection::vec((0_u8..4, 0_u8..4, 0_u8..4), 0..30),
        targets in proptest::collection::vec((targets(), 0_u64..30), 0..5),
        after in 0_u64..30,
    ) {
        let serials = Serials::default();
        issued(&serials, &names);
        let rules: Vec<_> = targets.into_iter().map(|(target, through)| rule(target, through)).collect();
        let matched = (1..).zip(&names).filter(|(seq, (identity, entry, node))| {
            let (spiffe_id, entry, node, serial) = (id(*identity), format!("e{entry}").parse().unwrap(), id(*node), serial(*seq));
            let issued = IssuedCertificate { seq: *seq, at: at(*seq), serial: &serial, spiffe_id: &spiffe_id, entry: Some(&entry), node: Some(&node) };
            *seq > after && rules.iter().any(|rule| rule.matches(EPOCH, &issued))
        });
        let expected: Vec<_> = matched.map(|(seq, _)| serial(seq)).collect();
        let found: Vec<_> = serials.concerned(rules.iter(), EPOCH, after).iter().map(|found| found.serial).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_has_ended_is_forgotten_and_nothing_else() {
    let serials = Serials::default();
    issued(&serials, &[(1, 1, 1); 20_000]);
    serials.forget_expired(at(1_000 + 15_000));
    assert_eq!(serials.len(), 5_001, "NotAfter itself is valid");
    assert_eq!(
        (serials.not_after(&serial(14_999)), serials.not_after(&serial(15_000))),
        (None, Some(at(16_000)))
    );
    assert!(serials.is_of(&serial(15_000), id(1).as_str()) && !serials.is_of(&serial(15_000), id(2).as_str()));
}

#[test]
fn a_certificate_takes_no_more_than_the_page_says() {
    assert_eq!(size_of::<Row>(), 47);
}
