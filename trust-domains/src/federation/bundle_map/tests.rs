use std::time::Duration;

use conformance::covers;
use serde_json::{Value, json};

use super::*;
use crate::x509::testing::TestCa;

fn td(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

fn bundle(name: &str) -> TrustBundle {
    TrustBundle::new(td(name)).with_x509_authority(&TestCa::root("root", name).der).unwrap()
}

fn parse(document: &str) -> Result<ParsedBundleMap, ParseBundleMapError> {
    ParsedBundleMap::parse(document.as_bytes())
}

#[covers("BUN-12", "BUN-14")]
#[test]
fn bun_12_a_map_holds_each_name_once_and_bun_14_no_refresh_hint() {
    let (a, b) = (bundle("a.test").with_sequence(3).with_refresh_hint(Duration::from_secs(9)), bundle("b.test"));
    let map: BundleMap = [b.clone(), bundle("a.test"), a.clone()].into_iter().collect();
    let written: Value = serde_json::from_str(&map.to_json()).unwrap();
    assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), ["trust_domains"]);
    let domains = written["trust_domains"].as_object().unwrap();
    assert_eq!(domains.keys().collect::<Vec<_>>(), ["a.test", "b.test"]);
    assert_eq!(domains["a.test"]["spiffe_sequence"], 3);
    assert!(domains["a.test"].get("spiffe_refresh_hint").is_none(), "BUN-14");
    let read = parse(&map.to_json()).unwrap();
    assert_eq!((read.map.len(), read.skipped), (2, Vec::new()));
    assert_eq!(
        read.map.get(&td("a.test")),
        Some(&a.without_refresh_hint()),
        "of two of one name the later one stands"
    );
    assert_eq!(read.map.get(&td("b.test")), Some(&b));
    assert_eq!(BundleMap::default().to_json(), r#"{"trust_domains":{}}"#, "it may be empty");
    assert!(parse(r#"{"trust_domains":{}}"#).unwrap().map.is_empty());
}

#[covers("BUN-14")]
#[test]
fn bun_14_a_refresh_hint_inside_a_map_says_nothing() {
    let read = parse(r#"{"trust_domains":{"a.test":{"keys":[],"spiffe_refresh_hint":1}},"spiffe_refresh_hint":1}"#).unwrap();
    assert_eq!(read.map.get(&td("a.test")).unwrap().refresh_hint(), None);
}

#[covers("BUN-13")]
#[test]
fn bun_13_a_name_that_is_there_twice_costs_the_whole_map() {
    let twice = r#"{"trust_domains":{"a.test":{"keys":[]},"b.test":{"keys":[]},"a.test":{"keys":[]}}}"#;
    let duplicate = Err(ParseBundleMapError::DuplicateName { trust_domain: td("a.test") });
    assert_eq!(parse(twice), duplicate);
    assert_eq!(parse(&twice.replacen("a.test", "\\u0061.test", 1)), duplicate, "however it is written");
    assert_eq!(
        parse(r#"{"trust_domains":{"a.test":{"keys":[]}},"trust_domains":{}}"#),
        Err(ParseBundleMapError::DuplicateMember)
    );
}

#[covers("BUN-02", "BUN-06", "BUN-12")]
#[test]
fn what_is_not_understood_is_passed_over_and_the_map_stands() {
    let good = bundle("a.test");
    let good_document: Value = serde_json::from_str(&good.to_spiffe_json()).unwrap();
    let map = json!({ "future": [[]], "trust_domains": {
        "a.test": good_document,
        "B.test": { "keys": [] },
        "c.test": {},
        "d.test": { "keys": [{ "kty": "LMS", "use": "x509-svid" }, 7] },
    }});
    let read = parse(&map.to_string()).unwrap();
    assert_eq!(
        read.map.iter().map(|bundle| bundle.trust_domain().as_str()).collect::<Vec<_>>(),
        ["a.test", "d.test"]
    );
    assert_eq!(read.map.get(&td("a.test")), Some(&good));
    assert!(read.map.get(&td("d.test")).unwrap().is_empty(), "keys that are not known are passed over");
    let missing = SkippedBundle::Bundle {
        trust_domain: td("c.test"),
        reason: ParseBundleError::KeysMissing,
    };
    assert!(
        matches!(read.skipped[0], SkippedBundle::Name { .. }) && read.skipped[1] == missing,
        "{:?}",
        read.skipped
    );
}

#[covers("BUN-12")]
#[test]
fn what_is_no_map_is_refused_as_a_whole() {
    assert_eq!(parse("{}"), Err(ParseBundleMapError::TrustDomainsMissing));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in [
        "",
        "null",
        "[]",
        r#"{"trust_domains":[]}"#,
        r#"{"trust_domains":{"a.test":[]}}"#,
        r#"{"trust_domains":{}"#,
        &deep,
    ] {
        assert!(matches!(parse(text), Err(ParseBundleMapError::Malformed { .. })), "{text}");
    }
    assert!(
        parse(&format!(r#"{{"x":{deep},"trust_domains":{{}}}}"#)).is_ok(),
        "how deep a member is that nobody reads says nothing"
    );
    let large = " ".repeat(MAX_BUNDLE_MAP_BYTES + 1);
    assert!(matches!(parse(&large), Err(ParseBundleMapError::TooLarge { .. })));
    let many: Vec<_> = (0..=MAX_MAPPED_BUNDLES).map(|number| format!(r#""d{number}.test":{{"keys":[]}}"#)).collect();
    let limit = MAX_MAPPED_BUNDLES;
    assert_eq!(
        parse(&format!(r#"{{"trust_domains":{{{}}}}}"#, many.join(","))),
        Err(ParseBundleMapError::TooManyBundles { limit })
    );
}
