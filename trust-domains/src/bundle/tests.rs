use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance::covers;
use proptest::prelude::{Strategy, any, proptest};
use serde_json::{Value, json};

use super::{AuthorityRefused, MAX_BUNDLE_BYTES, MAX_BUNDLE_KEYS, ParseBundleError, ParsedBundle, PublicJwk, SkipReason, SpiffeBundle, TrustBundle};
use crate::join_link::RootHash;
use crate::trust_domain::TrustDomain;
use crate::x509::testing::{NOW, TestCa, TestDomain};
use crate::x509::{VerifyError, verify_svid};

mod hostile;

const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

fn td() -> TrustDomain {
    "example.org".parse().unwrap()
}

fn root() -> TestCa {
    TestCa::root("root", "example.org")
}

fn of_roots(roots: &[&TestCa]) -> TrustBundle {
    roots
        .iter()
        .fold(TrustBundle::new(td()), |bundle, root| bundle.with_x509_authority(&root.der).unwrap())
}

fn document(bundle: &TrustBundle) -> Value {
    serde_json::from_str(&bundle.to_spiffe_json()).unwrap()
}

fn parse(document: &Value) -> Result<ParsedBundle, ParseBundleError> {
    ParsedBundle::parse(&td(), document.to_string().as_bytes())
}

fn x509_entry(root: &TestCa) -> Value {
    json!({ "use": "x509-svid", "kty": "EC", "crv": "P-256", "x": X, "y": Y, "x5c": [STANDARD.encode(&root.der)] })
}

fn token_entry(purpose: &str, kid: &str) -> Value {
    json!({ "use": purpose, "kid": kid, "kty": "EC", "crv": "P-256", "x": X, "y": Y })
}

#[covers("X509-19", "X509-20", "BUN-01", "BUN-03", "BUN-04", "BUN-05", "BUN-08", "BUN-09")]
#[test]
fn a_document_has_exactly_the_members_of_the_standard() {
    let root = root();
    let bundle = of_roots(&[&root]).with_sequence(u64::MAX).with_refresh_hint(Duration::from_millis(300_900));
    let document = document(&bundle);
    let key = crate::public_key::PublicKey::from_spki(bundle.x509_authorities()[0].certificate().spki()).unwrap();
    let jwk = crate::jwk::EcJwk::of(&key);
    let expected = json!({
        "spiffe_sequence": u64::MAX,
        "spiffe_refresh_hint": 300,
        "keys": [{ "use": "x509-svid", "kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y, "x5c": [STANDARD.encode(&root.der)] }],
    });
    assert_eq!(document, expected, "BUN-01, BUN-03, BUN-04, BUN-08, BUN-09, X509-19, X509-20");
    assert_eq!(self::document(&TrustBundle::new(td())), json!({ "keys": [] }), "BUN-05");
}

#[covers("X509-20")]
#[test]
fn roots_of_other_algorithms_are_expressed_with_their_members() {
    for (algorithm, kty, curve, x_len) in [
        (&rcgen::PKCS_ECDSA_P384_SHA384, "EC", "P-384", 64),
        (&rcgen::PKCS_ECDSA_P521_SHA256, "EC", "P-521", 88),
        (&rcgen::PKCS_ED25519, "OKP", "Ed25519", 43),
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key).unwrap().der().clone();
        let bundle = TrustBundle::new(td()).with_x509_authority(&der).unwrap();
        let jwk = bundle.x509_authorities()[0].key();
        assert_eq!((jwk.key_type(), jwk.member("crv")), (kty, Some(curve)), "X509-20");
        assert_eq!(jwk.member("x").unwrap().len(), x_len, "{curve}: whole coordinates, leading zeros kept");
        assert_eq!(TrustBundle::parse_spiffe_json(&td(), bundle.to_spiffe_json().as_bytes()).unwrap(), bundle);
    }
}

#[covers("ID-15", "X509-21", "BUN-06", "BUN-09")]
#[test]
fn an_entry_that_is_not_understood_is_skipped_and_the_others_stand() {
    let (root, other) = (root(), root());
    let leaf = TestDomain::new("example.org").chain("spiffe://example.org/web").remove(0);
    let with = |change: fn(&mut Value)| {
        let mut entry = x509_entry(&other);
        change(&mut entry);
        entry
    };
    let table: Vec<(&str, Value, SkipReason)> = vec![
        ("BUN-06", with(|entry| entry["kty"] = json!("LMS")), SkipReason::KeyTypeUnknown),
        ("BUN-06", with(|entry| entry["kty"] = Value::Null), SkipReason::KeyTypeUnknown),
        ("BUN-06", with(|entry| entry["use"] = json!("quantum-svid")), SkipReason::UseUnknown),
        (
            "BUN-06, the case counts (BUN-09)",
            with(|entry| entry["use"] = json!("X509-SVID")),
            SkipReason::UseUnknown,
        ),
        (
            "BUN-06",
            with(|entry| drop(entry.as_object_mut().unwrap().remove("use"))),
            SkipReason::UseMissing,
        ),
        (
            "X509-21",
            with(|entry| drop(entry.as_object_mut().unwrap().remove("x5c"))),
            SkipReason::CertificateMissing,
        ),
        ("X509-21", with(|entry| entry["x5c"] = json!([])), SkipReason::CertificateMissing),
        (
            "base64url is not x5c",
            with(|entry| entry["x5c"] = json!(["_-_-"])),
            SkipReason::CertificateNotBase64,
        ),
        ("a number in x5c", with(|entry| entry["x5c"] = json!([7])), SkipReason::CertificateNotBase64),
        ("no object", json!("key"), SkipReason::NotAnObject),
        ("the same root twice", x509_entry(&root), SkipReason::Duplicate),
        (
            "JWT-14",
            json!({ "use": "jwt-svid", "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
            SkipReason::KeyIdMissing,
        ),
        (
            "no coordinates",
            json!({ "use": "jwt-svid", "kty": "EC", "kid": "a", "crv": "P-256", "x": X }),
            SkipReason::KeyMembers,
        ),
        (
            "not base64url",
            json!({ "use": "wit-svid", "kty": "RSA", "kid": "a", "n": "+/+/", "e": "AQAB" }),
            SkipReason::KeyMembers,
        ),
        (
            "Ed25519 signs no token",
            json!({ "use": "jwt-svid", "kty": "OKP", "kid": "a", "crv": "Ed25519", "x": X }),
            SkipReason::KeyTypeUnknown,
        ),
    ];
    for (what, entry, reason) in table {
        let parsed = parse(&json!({ "keys": [x509_entry(&root), entry, token_entry("jwt-svid", "good")] })).unwrap();
        assert_eq!(
            parsed
                .skipped
                .iter()
                .map(|skipped| (skipped.position, skipped.reason.clone()))
                .collect::<Vec<_>>(),
            [(1, reason)],
            "{what}"
        );
        assert_eq!(
            (parsed.bundle.x509_authorities().len(), parsed.bundle.jwt_authorities().len()),
            (1, 1),
            "{what}"
        );
    }
    let mut refused = x509_entry(&root);
    refused["x5c"] = json!([STANDARD.encode(&leaf)]);
    let parsed = parse(&json!({ "keys": [refused] })).unwrap();
    assert!(
        matches!(
            parsed.skipped[0].reason,
            SkipReason::CertificateRefused {
                source: AuthorityRefused::MayNotSign { .. }
            }
        ),
        "a leaf is no root"
    );
    assert!(parsed.bundle.is_empty());
}

#[covers("X509-21")]
#[test]
fn only_the_first_of_several_certificates_counts() {
    let (first, second) = (root(), root());
    let mut entry = x509_entry(&first);
    entry["x5c"] = json!([STANDARD.encode(&first.der), STANDARD.encode(&second.der)]);
    let bundle = parse(&json!({ "keys": [entry] })).unwrap().bundle;
    assert_eq!(bundle.x509_ders().collect::<Vec<_>>(), [&first.der], "X509-21");
}

#[covers("X509-22", "BUN-05", "BUN-07", "WAPI-13")]
#[test]
fn a_bundle_with_nothing_usable_trusts_nothing() {
    let domain = TestDomain::new("example.org");
    for keys in [json!([]), json!([token_entry("jwt-svid", "a")]), json!([{ "use": "new", "kty": "EC" }])] {
        let bundle = parse(&json!({ "keys": keys })).unwrap().bundle;
        let error = verify_svid(&domain.chain("spiffe://example.org/web"), &bundle, NOW).unwrap_err();
        assert!(matches!(error, VerifyError::NoAuthorities { .. }), "BUN-05, BUN-07, X509-22");
    }
}

#[covers("BUN-08")]
#[test]
fn token_keys_are_kept_apart_by_use_and_never_with_private_members() {
    let mut leaked = token_entry("jwt-svid", "a");
    leaked["d"] = json!("c2VjcmV0");
    leaked["x5t"] = json!("other");
    let keys = json!([leaked, token_entry("jwt-svid", "b"), token_entry("jwt-svid", "b"), token_entry("wit-svid", "c")]);
    let parsed = parse(&json!({ "keys": keys })).unwrap();
    let ids = |keys: &[PublicJwk]| keys.iter().map(|key| key.key_id().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (ids(parsed.bundle.jwt_authorities()), ids(parsed.bundle.wit_authorities())),
        (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()])
    );
    assert_eq!(parsed.skipped.len(), 1, "the doubled key ID");
    assert_eq!(document(&parsed.bundle)["keys"][0], token_entry("jwt-svid", "a"), "BUN-08");
}

#[covers("BUN-02", "BUN-10")]
#[test]
fn members_outside_the_standard_are_passed_over() {
    let parsed = parse(&json!({ "keys": [], "spiffe_future": { "deep": [1] }, "trust_domain": "evil.org" })).unwrap();
    assert_eq!(
        parsed.bundle,
        TrustBundle::new(td()),
        "BUN-02: the name comes from who was asked, never from the document (BUN-10)"
    );
}

#[covers("BUN-03", "BUN-04")]
#[test]
fn sequence_and_hint_are_whole_numbers() {
    let sequence = |value: Value| parse(&json!({ "keys": [], "spiffe_sequence": value })).map(|parsed| parsed.bundle.sequence());
    assert_eq!(sequence(json!(u64::MAX)), Ok(Some(u64::MAX)), "BUN-03: 64 bits");
    assert_eq!(sequence(Value::Null), Ok(None));
    for wrong in [json!(-1), json!(1.5), json!("7"), json!([])] {
        assert_eq!(sequence(wrong.clone()), Err(ParseBundleError::Sequence), "{wrong}");
    }
    let hint = |value: Value| parse(&json!({ "keys": [], "spiffe_refresh_hint": value })).unwrap().bundle.refresh_hint();
    assert_eq!(hint(json!(300)), Some(Duration::from_secs(300)), "BUN-04");
    for wrong in [json!(-1), json!(1.5), json!("5m")] {
        assert_eq!(hint(wrong.clone()), None, "only a hint: {wrong}");
    }
}

#[covers("BUN-05")]
#[test]
fn what_is_no_bundle_document_is_refused() {
    let parse = |text: &str| ParsedBundle::parse(&td(), text.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(parse("{}"), ParseBundleError::KeysMissing, "BUN-05");
    assert_eq!(parse(r#"{"keys":null}"#), ParseBundleError::KeysMissing);
    for text in ["", "null", "[]", "7", r#"{"keys":{}}"#, r#"{"keys":[]"#, r#"{"keys":[]} x"#] {
        assert!(matches!(parse(text), ParseBundleError::Malformed { .. }), "{text}");
    }
    assert!(
        matches!(
            parse(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            ParseBundleError::Malformed { .. }
        ),
        "deep"
    );
    let many = json!({ "keys": vec![Value::Null; MAX_BUNDLE_KEYS + 1] }).to_string();
    assert_eq!(
        parse(&many),
        ParseBundleError::TooManyKeys {
            limit: MAX_BUNDLE_KEYS,
            actual: MAX_BUNDLE_KEYS + 1
        }
    );
    let large = " ".repeat(MAX_BUNDLE_BYTES + 1);
    assert_eq!(
        parse(&large),
        ParseBundleError::TooLarge {
            limit: MAX_BUNDLE_BYTES,
            actual: large.len()
        }
    );
}

#[test]
fn the_same_root_is_held_once_and_roots_come_out_in_their_order() {
    let (first, second) = (root(), root());
    let bundle = of_roots(&[&first, &second, &first]);
    assert_eq!(bundle.x509_ders().collect::<Vec<_>>(), [&first.der, &second.der]);
    assert_eq!(bundle.x509_der_concat(), [first.der.to_vec(), second.der.to_vec()].concat());
    assert_eq!(bundle.x509_authorities()[0].hash(), RootHash::of_der(&first.der));
    let blocks = pem::parse_many(bundle.to_pem()).unwrap();
    assert_eq!(
        blocks.iter().map(pem::Pem::contents).collect::<Vec<_>>(),
        [first.der.as_ref(), second.der.as_ref()]
    );
    assert!(bundle.has_same_keys(&bundle.clone().with_sequence(9)));
    assert!(!bundle.has_same_keys(&of_roots(&[&first])));
}

#[covers("BUN-10")]
#[test]
fn the_wire_form_names_its_trust_domain() {
    let bundle = of_roots(&[&root()]).with_sequence(7);
    let wire = serde_json::to_value(SpiffeBundle::from(&bundle)).unwrap();
    assert_eq!(wire, json!({ "trust_domain": "example.org", "bundle": document(&bundle) }));
    let back: SpiffeBundle = serde_json::from_value(wire).unwrap();
    assert_eq!(TrustBundle::from(back), bundle);
    assert!(serde_json::from_value::<SpiffeBundle>(json!({ "trust_domain": "Example.org", "bundle": { "keys": [] } })).is_err());
    assert!(serde_json::from_value::<SpiffeBundle>(json!({ "trust_domain": "example.org", "bundle": {} })).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        proptest::strategy::Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(vec!["x509-svid", "jwt-svid", "wit-svid", "EC", "RSA", "OKP", "P-256", X, "", "!"]).prop_map(Value::from),
    ];
    let names = proptest::sample::select(vec![
        "use",
        "kty",
        "kid",
        "x5c",
        "crv",
        "x",
        "y",
        "n",
        "e",
        "keys",
        "spiffe_sequence",
        "spiffe_refresh_hint",
    ]);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        proptest::prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(names.clone().prop_map(ToOwned::to_owned), inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_input_makes_parsing_panic(bytes in any::<Vec<u8>>()) {
        let _ = ParsedBundle::parse(&td(), &bytes);
    }

    #[test]
    fn what_was_understood_is_written_and_read_as_the_same(keys in proptest::collection::vec(any_json(), 0..6), sequence in any::<Option<u64>>()) {
        let count = keys.len();
        let parsed = parse(&json!({ "keys": keys, "spiffe_sequence": sequence })).unwrap();
        let taken = parsed.bundle.x509_authorities().len() + parsed.bundle.jwt_authorities().len() + parsed.bundle.wit_authorities().len();
        assert_eq!(taken + parsed.skipped.len(), count);
        let again = ParsedBundle::parse(&td(), parsed.bundle.to_spiffe_json().as_bytes()).unwrap();
        assert_eq!(again, ParsedBundle { bundle: parsed.bundle, skipped: Vec::new() });
    }
}

#[covers("WIT-22")]
#[test]
fn wit_22_a_key_id_stands_once_in_the_whole_bundle_whatever_the_tokens() {
    let ids = |keys: &[PublicJwk]| keys.iter().map(|key| key.key_id().unwrap().to_owned()).collect::<Vec<_>>();
    for (first, second) in [("jwt-svid", "wit-svid"), ("wit-svid", "jwt-svid"), ("wit-svid", "wit-svid")] {
        let keys = json!([token_entry(first, "a"), token_entry(second, "a"), token_entry(second, "A")]);
        let parsed = parse(&json!({ "keys": keys })).unwrap();
        let skipped: Vec<_> = parsed.skipped.iter().map(|skipped| (skipped.position, &skipped.reason)).collect();
        assert_eq!(skipped, [(1, &SkipReason::Duplicate)], "{first} {second}");
        let all = [parsed.bundle.jwt_authorities(), parsed.bundle.wit_authorities()].concat();
        assert_eq!(all.len(), 2, "an ID is opaque and case-sensitive");
    }
    let without = json!({ "keys": [{ "use": "wit-svid", "kty": "EC", "crv": "P-256", "x": X, "y": X }] });
    assert_eq!(parse(&without).unwrap().skipped[0].reason, SkipReason::KeyIdMissing);

    let key = token_key();
    let kid = crate::plan::authority::AuthorityId::from_key_id(&[0xab; 20]).unwrap();
    let bundle = TrustBundle::new(td())
        .with_wit_authority(PublicJwk::es256(&kid, &key))
        .with_jwt_authority(PublicJwk::es256(&kid, &key))
        .with_wit_authority(PublicJwk::es256(&kid, &key));
    assert_eq!((ids(bundle.wit_authorities()), bundle.jwt_authorities().len()), (vec![kid.to_string()], 0));
    let document = document(&bundle);
    assert_eq!(
        (&document["keys"][0]["use"], document["keys"].as_array().unwrap().len()),
        (&json!("wit-svid"), 1)
    );
    assert_eq!(parse(&document).unwrap().bundle, bundle);
    for plain in [bundle.to_jwks(), bundle.to_workload_jwks()] {
        assert_eq!(plain, r#"{"keys":[]}"#, "a WIT key verifies no JWT");
    }
}

fn token_key() -> crate::public_key::PublicKey {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    crate::public_key::PublicKey::from_sec1(secret.public_key().to_sec1_point(false).as_bytes()).unwrap()
}

#[covers("JWT-14")]
#[test]
fn jwt_14_a_token_key_stands_in_the_bundle_with_use_kid_and_alg_and_comes_back() {
    let key = token_key();
    let kid = crate::plan::authority::AuthorityId::from_key_id(&[0xab; 20]).unwrap();
    let domain: TrustDomain = "example.org".parse().unwrap();
    let bundle = TrustBundle::new(domain.clone())
        .with_jwt_authority(PublicJwk::es256(&kid, &key))
        .with_jwt_authority(PublicJwk::es256(&kid, &key));
    let document: Value = serde_json::from_str(&bundle.to_spiffe_json()).unwrap();
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "one JWK a key");
    assert_eq!(
        (&keys[0]["use"], &keys[0]["kid"], &keys[0]["alg"], &keys[0]["kty"], &keys[0]["crv"]),
        (&"jwt-svid".into(), &"ab".repeat(20).into(), &"ES256".into(), &"EC".into(), &"P-256".into())
    );
    assert_eq!(TrustBundle::parse_spiffe_json(&domain, document.to_string().as_bytes()).unwrap(), bundle);

    let plain: Value = serde_json::from_str(&bundle.to_jwks()).unwrap();
    let members: Vec<_> = plain["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!((&plain["keys"][0]["use"], plain.as_object().unwrap().len()), (&"sig".into(), 1));
}
