use std::time::Duration;

use proptest::prelude::*;

use super::*;

const EPOCH: u64 = 7;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_795_338_000 + seconds)
}

fn id(path: &str) -> SpiffeId {
    format!("spiffe://td.example{path}").parse().unwrap()
}

fn serial(number: u8) -> Serial {
    Serial::from_parts([1; 4], [number; 11])
}

fn rule(target: RevocationTarget, before: Option<i64>, through: u64) -> RevocationRule {
    RevocationRule {
        target,
        bound: RevocationBound {
            before: before.map(at),
            through,
            epoch: EPOCH,
        },
        made_at: at(0),
        until: at(100),
        cause: RevocationCause::Ordered,
        because: None,
        actor: "local:uid:0".to_owned(),
    }
}

#[test]
fn a_rule_concerns_what_it_names_and_nothing_else() {
    let (entry, other): (EntryId, EntryId) = ("e1".parse().unwrap(), "e2".parse().unwrap());
    let (web, node) = (id("/web"), id("/troth/agent/join_token/a"));
    let of_workload = IssuedCertificate {
        seq: 5,
        at: at(-1),
        serial: &serial(1),
        spiffe_id: &web,
        entry: Some(&entry),
        node: Some(&node),
    };
    let of_node = IssuedCertificate {
        serial: &serial(2),
        spiffe_id: &node,
        entry: None,
        node: None,
        ..of_workload
    };
    let cases = [
        (RevocationTarget::Serial { serial: serial(1) }, true, false),
        (RevocationTarget::Entry { entry: entry.clone() }, true, false),
        (RevocationTarget::Entry { entry: other }, false, false),
        (RevocationTarget::SpiffeId { spiffe_id: web.clone() }, true, false),
        (RevocationTarget::SpiffeId { spiffe_id: id("/webb") }, false, false),
        (RevocationTarget::Node { spiffe_id: node.clone() }, true, true),
        (RevocationTarget::Node { spiffe_id: web.clone() }, true, false),
    ];
    for (target, workload, node) in cases {
        let rule = rule(target, Some(0), 10);
        assert_eq!(
            (rule.matches(EPOCH, &of_workload), rule.matches(EPOCH, &of_node)),
            (workload, node),
            "{:?}",
            rule.target
        );
    }
}

#[test]
fn what_is_issued_in_the_same_second_after_the_rule_is_good() {
    let bound = rule(RevocationTarget::Serial { serial: serial(1) }, Some(0), 10).bound;
    assert!(bound.covers(EPOCH, 10, at(0)) && !bound.covers(EPOCH, 11, at(0)));
    // A clock that was ahead when it was issued hides nothing.
    assert!(bound.covers(EPOCH, 9, at(1_000)));
    // A journal that began anew says nothing by its numbers.
    assert!(!bound.covers(EPOCH + 1, 1, at(1)) && bound.covers(EPOCH + 1, 99, at(0)));
}

#[test]
fn an_ended_svid_that_was_revoked_renews_nothing() {
    let (node, other) = (id("/troth/agent/join_token/a"), id("/troth/agent/join_token/b"));
    let of_node = rule(RevocationTarget::Node { spiffe_id: node.clone() }, Some(0), 10);
    assert!(of_node.refuses_renewal(&node, &serial(1), at(-1)) && !of_node.refuses_renewal(&other, &serial(1), at(-1)));
    assert!(!of_node.refuses_renewal(&node, &serial(2), at(0)), "it joined again since");
    let of_serial = rule(RevocationTarget::Serial { serial: serial(1) }, Some(0), 10);
    assert!(of_serial.refuses_renewal(&node, &serial(1), at(5)) && !of_serial.refuses_renewal(&node, &serial(2), at(-5)));
}

#[test]
fn a_rule_of_a_banned_node_has_no_end() {
    let banned = rule(RevocationTarget::Node { spiffe_id: id("/n") }, None, 10);
    assert!(banned.bound.covers(EPOCH, 1_000, at(1_000)) && !banned.is_over(at(1_000), Duration::ZERO));
}

proptest! {
    #[test]
    fn a_rule_lives_to_the_last_second_of_what_it_concerns(until in -1_000_i64..1_000, now in -1_000_i64..1_000) {
        let rule = RevocationRule { until: at(until), ..rule(RevocationTarget::Serial { serial: serial(1) }, Some(0), 1) };
        prop_assert_eq!(rule.is_over(at(now), Duration::ZERO), now > until);
        prop_assert_eq!(rule.is_over(at(now), Duration::from_secs(50)), now > until + 50);
    }

    #[test]
    fn what_is_covered_later_was_covered_earlier(through in 0_u64..100, seq in 0_u64..100, earlier in 0_u64..100) {
        let bound = rule(RevocationTarget::Serial { serial: serial(1) }, Some(0), through).bound;
        prop_assert!(!bound.covers(EPOCH, seq, at(0)) || earlier > seq || bound.covers(EPOCH, earlier, at(0)));
    }

    #[test]
    fn a_stored_rule_is_read_back(through in any::<u64>(), before in proptest::option::of(-1_000_i64..1_000)) {
        let rule = rule(RevocationTarget::Entry { entry: "e1".parse().unwrap() }, before, through);
        prop_assert_eq!(serde_json::from_str::<RevocationRule>(&serde_json::to_string(&rule).unwrap()).unwrap(), rule);
    }
}
