//! What a partner that means harm, or is broken, may send: the document is refused or the key passed over, and nothing costs more than its octets.

use conformance::covers;

use super::*;
use crate::bundle::SkippedKey;

fn parse_text(text: &str) -> Result<ParsedBundle, ParseBundleError> {
    ParsedBundle::parse(&td(), text.as_bytes())
}

fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn deep_object(depth: usize) -> String {
    format!("{}7{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

#[covers("BUN-05")]
#[test]
fn two_hundred_thousand_keys_are_counted_and_refused() {
    let keys = vec!["{}"; 200_000].join(",");
    assert_eq!(
        parse_text(&format!(r#"{{"keys":[{keys}]}}"#)),
        Err(ParseBundleError::TooManyKeys {
            limit: MAX_BUNDLE_KEYS,
            actual: 200_000
        })
    );
}

#[covers("BUN-02", "BUN-06")]
#[test]
fn json_of_any_depth_is_passed_over_where_nobody_reads_it() {
    let root = root();
    for odd in [deep(10_000), deep_object(10_000)] {
        let good = x509_entry(&root).to_string();
        let with_member = good.replacen('{', &format!(r#"{{"x-future":{odd},"#), 1);
        let parsed = parse_text(&format!(r#"{{"future":{odd},"keys":[{odd},{with_member}]}}"#)).unwrap();
        assert_eq!(parsed.bundle.x509_authorities().len(), 1);
        assert_eq!(parsed.skipped.iter().map(|skipped| skipped.position).collect::<Vec<_>>(), [0]);
    }
}

#[covers("BUN-06")]
#[test]
fn json_of_any_depth_in_the_place_of_a_text_costs_that_key_alone() {
    let odd = deep(10_000);
    for member in ["use", "kty", "x5c", "kid", "x"] {
        let entry = format!(r#"{{"use":"jwt-svid","kty":"EC","kid":"a","crv":"P-256","x":"{X}","y":"{Y}","{member}":{odd}}}"#);
        let good = token_entry("jwt-svid", "good");
        let parsed = parse_text(&format!(r#"{{"keys":[{entry},{good}]}}"#)).unwrap();
        let ids: Vec<_> = parsed.bundle.jwt_authorities().iter().filter_map(PublicJwk::key_id).collect();
        assert!(ids.contains(&"good"), "{member}");
    }
    assert_eq!(
        parse_text(&format!(r#"{{"keys":[],"spiffe_sequence":{odd}}}"#)),
        Err(ParseBundleError::Sequence)
    );
    let hint = parse_text(&format!(r#"{{"keys":[],"spiffe_refresh_hint":{odd}}}"#)).unwrap();
    assert_eq!(hint.bundle.refresh_hint(), None);
    assert!(matches!(parse_text(&deep(10_000)), Err(ParseBundleError::Malformed { .. })));
}

#[covers("BUN-03", "BUN-05")]
#[test]
fn a_member_of_the_document_that_is_there_twice_refuses_it() {
    for (text, name) in [
        (r#"{"keys":[],"keys":[]}"#, "keys"),
        (r#"{"keys":[],"spiffe_sequence":1,"spiffe_sequence":2}"#, "spiffe_sequence"),
        (r#"{"keys":[],"spiffe_sequence":null,"spiffe_sequence":2}"#, "spiffe_sequence"),
        (r#"{"spiffe_refresh_hint":1,"keys":[],"spiffe_refresh_hint":1}"#, "spiffe_refresh_hint"),
        (r#"{"keys":[],"\u006beys":[]}"#, "keys"),
    ] {
        assert_eq!(parse_text(text), Err(ParseBundleError::DuplicateMember { name }), "{text}");
    }
    assert!(parse_text(r#"{"keys":[],"other":1,"other":2}"#).is_ok(), "what nobody reads");
}

#[covers("BUN-06")]
#[test]
fn a_key_with_a_member_that_is_there_twice_is_passed_over() {
    let good = token_entry("jwt-svid", "good");
    for (member, value) in [("use", r#""x509-svid""#), ("kid", r#""b""#), ("x", "7"), ("x5c", "[]"), ("kty", r#""EC""#)] {
        let entry = format!(r#"{{"{member}":{value},"use":"jwt-svid","kty":"EC","kid":"a","crv":"P-256","x":"{X}","y":"{Y}","x5c":["AA"]}}"#);
        let parsed = parse_text(&format!(r#"{{"keys":[{entry},{good}]}}"#)).unwrap();
        let name = ["use", "kid", "x", "x5c", "kty"].into_iter().find(|name| *name == member).unwrap();
        let reason = SkipReason::DuplicateMember { name };
        assert_eq!(parsed.skipped, [SkippedKey { position: 0, reason }], "{member}");
        assert_eq!(parsed.bundle.jwt_authorities().len(), 1);
    }
}

#[covers("X509-19", "BUN-06")]
#[test]
fn pem_in_the_place_of_der_is_named_as_what_it_is() {
    let (bad, good) = (root(), root());
    let pem = crate::x509::to_pem(&bad.der);
    for text in [pem.clone(), STANDARD.encode(&pem)] {
        let mut entry = x509_entry(&bad);
        entry["x5c"] = json!([text]);
        let parsed = parse(&json!({ "keys": [entry, x509_entry(&good)] })).unwrap();
        let reason = SkipReason::CertificateIsPem;
        assert_eq!(parsed.skipped, [SkippedKey { position: 0, reason }]);
        assert_eq!(parsed.bundle.x509_ders().collect::<Vec<_>>(), [&good.der]);
    }
}

#[test]
fn a_thousand_certificates_in_one_key_count_as_their_first() {
    let root = root();
    let mut entry = x509_entry(&root);
    entry["x5c"] = vec![json!(STANDARD.encode(&root.der)); 1_000].into();
    let parsed = parse(&json!({ "keys": [entry] })).unwrap();
    assert_eq!(parsed.bundle.x509_authorities().len(), 1);
}

#[covers("BUN-03")]
#[test]
fn a_sequence_of_null_is_none() {
    let parsed = parse_text(r#"{"keys":[],"spiffe_sequence":null,"spiffe_refresh_hint":null}"#).unwrap();
    assert_eq!((parsed.bundle.sequence(), parsed.bundle.refresh_hint()), (None, None));
}
