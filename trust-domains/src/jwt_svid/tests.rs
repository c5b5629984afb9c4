//! What the vectors of `tests/fixtures/jwt-svid-vectors.json` do not say: properties, and the caller's side.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bundle::TrustBundle;
use crate::jwk::EcJwk;
use crate::public_key::PublicKey;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);

struct Issuer {
    pair: EcdsaKeyPair,
    bundle: TrustBundle,
}

impl Issuer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let EcJwk { kty, crv, x, y } = EcJwk::of(&PublicKey::from_sec1(pair.public_key().as_ref()).unwrap());
        let document = json!({ "keys": [{ "use": "jwt-svid", "kid": "k1", "kty": kty, "crv": crv, "x": x, "y": y }] });
        let bundle = TrustBundle::parse_spiffe_json(&td(), document.to_string().as_bytes()).unwrap();
        Self { pair, bundle }
    }

    fn token(&self, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "k1" })), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn td() -> TrustDomain {
    "example.org".parse().unwrap()
}

fn claims() -> Value {
    json!({ "sub": "spiffe://example.org/web", "aud": ["db"], "exp": NOW.unix() + 300 })
}

fn expected(now: Timestamp, leeway_s: u64) -> Expectation<'static> {
    Expectation {
        audience: "db",
        now,
        leeway: Duration::from_secs(leeway_s),
    }
}

#[covers("BUN-10", "WAPI-19")]
#[test]
fn a_bundle_of_another_trust_domain_is_never_used_even_if_it_has_the_key() {
    let issuer = Issuer::new();
    let other: TrustDomain = "other.example".parse().unwrap();
    let pooled = TrustBundle::parse_spiffe_json(&other, issuer.bundle.to_spiffe_json().as_bytes()).unwrap();
    let token = issuer.token(&claims());
    let refused = verify_jwt_svid(&token, |_| Some(&pooled), &expected(NOW, 0)).unwrap_err();
    assert_eq!(refused.reason(), "wrong_trust_domain");
    assert!(verify_jwt_svid(&token, |_| Some(&issuer.bundle), &expected(NOW, 0)).is_ok());
}

#[test]
fn a_token_is_never_shown_by_debug() {
    let issuer = Issuer::new();
    let token = issuer.token(&claims());
    let shown = format!("{:?}", UnverifiedJwtSvid::parse(&token).unwrap());
    assert!(shown.contains("spiffe://example.org/web"), "{shown}");
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[covers("JWT-10")]
#[test]
fn the_leeway_moves_the_end_by_itself_and_no_more() {
    let issuer = Issuer::new();
    let token = issuer.token(&claims());
    let verify = |late: u64, leeway| verify_jwt_svid(&token, |_| Some(&issuer.bundle), &expected(NOW + Duration::from_secs(300 + late), leeway)).is_ok();
    for (late, leeway, accepted) in [(0, 0, false), (0, 1, true), (29, 30, true), (30, 30, false), (31, 30, false)] {
        assert_eq!(verify(late, leeway), accepted, "{late} {leeway}");
    }
}

/// Parts of tokens, right and wrong, so that many inputs get past the first checks.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<Vec<u8>>().prop_map(|octets| URL_SAFE_NO_PAD.encode(octets)),
        r#"\{("(alg|kid|typ|crit|sub|aud|exp|iat|nbf)":("ES256"|"JWT"|"k1"|"db"|"spiffe://example.org/web"|1900000300|-1|1e300|0\.5|null|\[\]|\["db"\]|\{\}),?){0,6}\}"#
            .prop_map(|json| URL_SAFE_NO_PAD.encode(json)),
        "[A-Za-z0-9_=-]{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), parts in proptest::collection::vec(part(), 0..5)) {
        let bundle = TrustBundle::new(td());
        for token in [text, parts.join(".")] {
            let verified = verify_jwt_svid(&token, |_| Some(&bundle), &expected(NOW, 30));
            prop_assert!(verified.is_err(), "an empty bundle means trust nothing");
        }
    }

    #[covers("JWT-09", "JWT-10")]
    #[test]
    fn whatever_the_claims_only_a_token_for_us_and_now_is_accepted(
        exp in -400i64..400, iat in proptest::option::of(-400i64..400), nbf in proptest::option::of(-400i64..400), aud in "d?b", leeway in 0u64..60,
    ) {
        let issuer = Issuer::new();
        let mut claims = json!({ "sub": "spiffe://example.org/web", "aud": aud, "exp": NOW.unix() + exp });
        for (name, offset) in [("iat", iat), ("nbf", nbf)] {
            if let Some(offset) = offset {
                claims[name] = json!(NOW.unix() + offset);
            }
        }
        let token = issuer.token(&claims);
        let accepted = verify_jwt_svid(&token, |_| Some(&issuer.bundle), &expected(NOW, leeway)).is_ok();
        let leeway = leeway.cast_signed();
        let right = aud == "db" && exp + leeway > 0 && iat.unwrap_or(0) <= leeway && nbf.unwrap_or(0) <= leeway;
        prop_assert_eq!(accepted, right);
    }

    #[covers("ID-14", "JWT-11")]
    #[test]
    fn every_changed_octet_is_refused(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let issuer = Issuer::new();
        let mut token = issuer.token(&claims()).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != octet);
        token[at] = octet;
        if let Ok(changed) = String::from_utf8(token) {
            prop_assert!(verify_jwt_svid(&changed, |_| Some(&issuer.bundle), &expected(NOW, 0)).is_err());
        }
    }
}
