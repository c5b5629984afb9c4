use std::time::Duration;

use rcgen::{CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, RevocationReason};

use super::super::testing::ListingCa;
use super::*;
use crate::x509::testing::NOW;

fn rules(lists: &[Vec<u8>], authorities: &[&ListingCa], now: Timestamp) -> Vec<(Severity, &'static str, usize)> {
    let authorities: Vec<_> = authorities.iter().map(|ca| ca.public.der().to_vec()).collect();
    let found = lint(lists, &authorities, now);
    found.iter().map(|finding| (finding.severity, finding.rule, finding.position)).collect()
}

/// Replaces octets of a list, which breaks its signature.
fn with(list: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = list.windows(old.len()).position(|window| window == old).expect("the octets are in the list");
    let mut changed = list.to_vec();
    changed[at..at + old.len()].copy_from_slice(new);
    changed
}

#[test]
fn lists_as_this_ca_signs_them_have_no_findings() {
    let root = ListingCa::root("root");
    let issuing = root.issuing("issuing");
    let lists = [root.list_der(7, &[], |_| {}), issuing.list_der(8, &[1, 300, 70_000], |_| {})];
    assert_eq!(rules(&lists, &[&root, &issuing], NOW), []);
    assert_eq!(rules(&lists, &[], NOW), []);
}

#[test]
fn every_broken_rule_of_a_list_has_its_section_and_its_place() {
    let ca = ListingCa::root("root");
    let other = ListingCa::root("root");
    let good = ca.list_der(7, &[300, 70_000], |_| {});
    let changed = |change: fn(&mut CertificateRevocationListParams)| ca.list_der(7, &[300], change);
    let number = [0x06, 0x03, 0x55, 0x1d, 0x14];
    let key_id = [0x06, 0x03, 0x55, 0x1d, 0x23];
    // 2.5.29.99, which nobody knows.
    let unknown = [0x06, 0x03, 0x55, 0x1d, 0x63];
    let at = |list: &[u8], oid: &[u8; 5]| list.windows(5).position(|window| window == oid).is_some();
    assert!(at(&good, &number) && at(&good, &key_id));
    let version = [0x02, 0x01, 0x01];
    let error = |rule| (Severity::Error, rule, 0);
    let warning = |rule| (Severity::Warning, rule, 0);
    let table = [
        ("garbage", vec![1, 2, 3], vec![error("RFC5280 5.1")]),
        ("more after the list", [good.clone(), vec![0]].concat(), vec![error("RFC5280 5.1")]),
        ("another version", with(&good, &version, &[0x02, 0x01, 0x00]), vec![error("RFC5280 5.1.2.1")]),
        ("no number", with(&good, &number, &unknown), vec![error("RFC5280 5.2.3")]),
        ("no authority key identifier", with(&good, &key_id, &unknown), vec![error("RFC5280 5.2.1")]),
        (
            "a delta that is not critical",
            with(&good, &number, &[0x06, 0x03, 0x55, 0x1d, 0x1b]),
            vec![error("RFC5280 5.2.4"), error("CRL-SET"), error("RFC5280 5.2.3")],
        ),
        (
            "a distribution point",
            changed(|params| {
                params.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
                    distribution_point: CrlDistributionPoint {
                        uris: vec!["http://ca.example/crl".to_owned()],
                    },
                    scope: None,
                });
            }),
            vec![error("CRL-SET")],
        ),
        (
            "unordered serials",
            changed(|params| {
                params.revoked_certs = [70_000, 300]
                    .map(|number| super::super::testing::revoked(super::super::testing::serial(number), NOW))
                    .into();
            }),
            vec![error("CRL-SET")],
        ),
        (
            "a reason that says nothing",
            with(
                &changed(|params| params.revoked_certs[0].reason_code = Some(RevocationReason::KeyCompromise)),
                &[0x0a, 0x01, 0x01],
                &[0x0a, 0x01, 0x00],
            ),
            vec![warning("RFC5280 5.3.1")],
        ),
        (
            "a reason of delta lists",
            changed(|params| params.revoked_certs[0].reason_code = Some(RevocationReason::RemoveFromCrl)),
            vec![error("RFC5280 5.3.1")],
        ),
    ];
    for (what, list, expected) in table {
        assert_eq!(rules(&[list], &[], NOW), expected, "{what}");
    }
    // By the CA: its own signature, its own name.
    assert_eq!(rules(std::slice::from_ref(&good), &[&ca], NOW), []);
    let revoked_another = with(&good, &[0x02, 0x02, 0x01, 0x2c], &[0x02, 0x02, 0x01, 0x2d]);
    assert_eq!(rules(&[revoked_another], &[&ca], NOW), [error("RFC5280 6.3.3")]);
    assert_eq!(
        rules(std::slice::from_ref(&good), &[&other], NOW),
        [error("RFC5280 6.3.3"), (Severity::Warning, "CRL-SET", 1)],
        "another CA of the same name"
    );
    let short = changed(|params| params.next_update = (NOW + Duration::from_secs(60)).to_offset_date_time());
    assert_eq!(rules(&[short], &[&ca], NOW), [warning("CRL-SET")]);
}

#[test]
fn a_list_that_ended_or_has_not_begun_is_found_by_the_time() {
    let ca = ListingCa::root("root");
    let list = [ca.list_der(7, &[], |_| {})];
    let late = NOW + Duration::from_secs(8 * 86_400);
    assert_eq!(rules(&list, &[], late), [(Severity::Error, "RFC5280 5.1.2.5", 0)]);
    assert_eq!(rules(&list, &[], NOW - Duration::from_secs(60)), [(Severity::Error, "RFC5280 5.1.2.4", 0)]);
}

#[test]
fn a_set_that_is_not_complete_or_has_two_lists_of_a_ca_is_found() {
    let root = ListingCa::root("root");
    let issuing = root.issuing("issuing");
    let list = root.list_der(7, &[], |_| {});
    assert_eq!(rules(std::slice::from_ref(&list), &[&root, &issuing], NOW), [(Severity::Warning, "CRL-SET", 1)]);
    assert_eq!(rules(&[list.clone(), list], &[&root], NOW), [(Severity::Error, "CRL-SET", 1)]);
}

proptest::proptest! {
    #[test]
    fn whatever_has_no_error_is_taken_and_no_octets_make_it_panic(at in 0_usize..400, octet in 0_u8..=255) {
        let ca = ListingCa::root("root");
        let mut list = ca.list_der(7, &[300, 70_000], |_| {});
        let at = at % list.len();
        list[at] = octet;
        let found = lint(std::slice::from_ref(&list), &[], NOW);
        let is_free = !found.iter().any(|finding| finding.severity == Severity::Error);
        if is_free {
            proptest::prop_assert!(Crl::parse(list).is_ok());
        }
    }
}
