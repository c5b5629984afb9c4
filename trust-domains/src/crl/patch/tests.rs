use proptest::prelude::*;

use super::super::testing::ListingCa;
use super::*;

fn octets(patch: &CrlPatch) -> usize {
    serde_json::to_vec(patch).unwrap().len()
}

#[test]
fn one_more_serial_costs_the_same_however_long_the_list_is() {
    let ca = ListingCa::root("a");
    let mut costs = Vec::new();
    for length in [10_u128, 100, 2_000] {
        let serials: Vec<u128> = (1..=length).map(|number| (1 << 120) | (number << 60)).collect();
        let old = ca.list(1, &serials);
        let new = ca.list(2, &[&serials[..], &[(1 << 120) | (5 << 60) | 1]].concat());
        let patch = diff(&old, &new);
        assert_eq!(apply(&old, &patch), Ok(new));
        costs.push(octets(&patch));
    }
    assert!(costs.iter().all(|cost| *cost < 700), "{costs:?}");
}

#[test]
fn a_patch_for_another_list_is_refused() {
    let (ca, other) = (ListingCa::root("a"), ListingCa::root("b"));
    let (old, new) = (ca.list(1, &[1]), ca.list(2, &[1, 2]));
    let patch = diff(&old, &new);
    for held in [ca.list(1, &[1, 3]), other.list(1, &[1]), new] {
        assert!(matches!(apply(&held, &patch), Err(PatchRefused::OtherList { .. })));
    }
    let stolen = CrlPatch {
        applies_to: hex::encode(old.sha256()),
        ..diff(&other.list(1, &[1]), &other.list(2, &[1]))
    };
    assert!(apply(&old, &stolen).is_err(), "the list of one CA does not become another's");
}

#[test]
fn a_patch_that_reaches_outside_or_grows_without_end_is_refused() {
    let ca = ListingCa::root("a");
    let old = ca.list(1, &[1]);
    let patch = |parts| CrlPatch {
        issuer: old.issuer().clone(),
        applies_to: hex::encode(old.sha256()),
        parts,
    };
    for (from, len) in [(0, 1_000_000), (usize::MAX, 1), (usize::MAX, usize::MAX)] {
        assert!(matches!(
            apply(&old, &patch(vec![PatchPart::Keep { from, len }])),
            Err(PatchRefused::OutOfRange { .. })
        ));
    }
    let whole = PatchPart::Keep { from: 0, len: old.der().len() };
    let grown = apply(&old, &patch(vec![whole; MAX_CRL_BYTES / old.der().len() + 1]));
    assert!(matches!(grown, Err(PatchRefused::Parse(ParseCrlError::TooLarge { .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_patch_leads_exactly_to_the_new_list(
        common in proptest::collection::vec(any::<u128>(), 0..30),
        gone in proptest::collection::vec(any::<u128>(), 0..10),
        added in proptest::collection::vec(any::<u128>(), 0..10),
    ) {
        let ca = ListingCa::root("a");
        let (old, new) = (ca.list(1, &[&common[..], &gone[..]].concat()), ca.list(2, &[&common[..], &added[..]].concat()));
        let patch = diff(&old, &new);
        prop_assert_eq!(apply(&old, &patch), Ok(new));
        let travelled: CrlPatch = serde_json::from_str(&serde_json::to_string(&patch).unwrap()).unwrap();
        prop_assert_eq!(travelled, patch);
    }
}
