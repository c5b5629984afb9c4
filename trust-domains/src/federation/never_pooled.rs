//! What one trust domain signs proves nothing of another, whoever verifies it and whatever bundles are held (FED-06).
//!
//! Two partners, each with the other's names in what it signs, and the same key IDs: all that a verifier of this crate is asked is asked with both bundles
//! at hand.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use serde_json::{Value, json};

use super::BundleMap;
use crate::bundle::{PublicJwk, TrustBundle};
use crate::join_link::RootHash;
use crate::jwk::EcJwk;
use crate::jwt_svid::{Expectation, UnverifiedJwtSvid, verify_jwt_svid};
use crate::plan::authority::AuthorityId;
use crate::public_key::PublicKey;
use crate::trust_domain::TrustDomain;
use crate::wit_svid::{UnverifiedWitSvid, WitLeeway};
use crate::x509::testing::{NOW, TestDomain};
use crate::x509::{verify_server_by_root_hash, verify_svid, verify_svid_of_any};

/// A trust domain that signs whatever it likes.
struct Issuer {
    name: TrustDomain,
    certificates: TestDomain,
    token_key: EcdsaKeyPair,
}

/// The key ID of every issuer's token keys: nothing keeps one domain from taking another's.
fn kid() -> AuthorityId {
    AuthorityId::from_key_id(&[0xab; 20]).unwrap()
}

impl Issuer {
    fn new(name: &str) -> Self {
        Self {
            name: name.parse().unwrap(),
            certificates: TestDomain::new(name),
            token_key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_sec1(self.token_key.public_key().as_ref()).unwrap()
    }

    /// Its bundle, with its key for JWTs or for WITs: one key ID stands once in a bundle.
    fn bundle(&self, tokens: fn(TrustBundle, PublicJwk) -> TrustBundle) -> TrustBundle {
        let roots = TrustBundle::new(self.name.clone()).with_x509_authority(&self.certificates.root.der).unwrap();
        tokens(roots, PublicJwk::es256(&kid(), &self.public()))
    }

    fn token(&self, kind: &str, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = json!({ "alg": "ES256", "kid": kid().to_string(), "typ": kind });
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.token_key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwt(&self, subject: &str) -> String {
        self.token("JWT", &json!({ "sub": subject, "aud": ["db"], "exp": NOW.unix() + 300 }))
    }

    fn wit(&self, subject: &str) -> String {
        let EcJwk { kty, crv, x, y } = EcJwk::of(&self.public());
        let key = json!({ "kty": kty, "crv": crv, "x": x, "y": y, "alg": "ES256" });
        self.token("wit+jwt", &json!({ "sub": subject, "exp": NOW.unix() + 300, "cnf": { "jwk": key } }))
    }
}

/// Both bundles, as a validator holds them (BUN-10).
fn held(issuers: [&Issuer; 2], tokens: fn(TrustBundle, PublicJwk) -> TrustBundle) -> HashMap<TrustDomain, TrustBundle> {
    issuers.map(|issuer| (issuer.name.clone(), issuer.bundle(tokens))).into()
}

#[covers("FED-06", "BUN-10")]
#[test]
fn a_certificate_for_one_domain_under_the_root_of_another_is_refused_by_every_verifier() {
    let (a, b) = (Issuer::new("a.test"), Issuer::new("b.test"));
    let bundles = held([&a, &b], TrustBundle::with_jwt_authority);
    let of_any = |chain: &[_]| verify_svid_of_any(chain, |name| bundles.get(name), NOW);
    for id in ["spiffe://a.test/web", "spiffe://a.test/troth/server"] {
        assert!(of_any(&a.certificates.chain(id)).is_ok(), "{id}");
        let forged = b.certificates.chain(id);
        let with_root = [forged.clone(), vec![b.certificates.root.der.clone()]].concat();
        let with_other_root = [forged.clone(), vec![a.certificates.root.der.clone()]].concat();
        for chain in [&forged, &with_root, &with_other_root] {
            assert!(of_any(chain).is_err(), "{id}");
            for bundle in bundles.values() {
                assert!(verify_svid(chain, bundle, NOW).is_err(), "{id} by the bundle of {}", bundle.trust_domain());
            }
            let only_b = verify_svid_of_any(chain, |name| bundles.get(name).filter(|bundle| *bundle.trust_domain() == b.name), NOW);
            assert!(only_b.is_err(), "the bundle of a.test is not there: no other stands in for it");
        }
        let (pin_a, pin_b) = (RootHash::of_der(&a.certificates.root.der), RootHash::of_der(&b.certificates.root.der));
        assert!(
            verify_server_by_root_hash(&with_root, &[pin_b], &b.name, NOW).is_err(),
            "{id} is nobody of b.test"
        );
        for chain in [&with_root, &with_other_root] {
            assert!(verify_server_by_root_hash(chain, &[pin_a], &a.name, NOW).is_err(), "{id}");
        }
    }
}

#[covers("FED-06", "BUN-10")]
#[test]
fn a_bundle_that_came_under_another_name_vouches_for_nobody_of_its_own() {
    let b = Issuer::new("b.test");
    // The partner at a.test serves the keys of b.test as its own.
    let a: TrustDomain = "a.test".parse().unwrap();
    let served = b.bundle(TrustBundle::with_jwt_authority).to_spiffe_json();
    let taken = TrustBundle::parse_spiffe_json(&a, served.as_bytes()).unwrap();
    let chain = b.certificates.chain("spiffe://b.test/web");
    assert!(verify_svid(&chain, &taken, NOW).is_err());
    assert!(verify_svid_of_any(&chain, |name| (*name == a).then_some(&taken), NOW).is_err());
    let map: BundleMap = [taken].into_iter().collect();
    assert!(map.get(&b.name).is_none() && verify_svid_of_any(&chain, |name| map.get(name), NOW).is_err());
}

#[covers("FED-06", "BUN-10")]
#[test]
fn a_jwt_for_one_domain_under_the_key_of_another_is_refused_by_every_verifier() {
    let (a, b) = (Issuer::new("a.test"), Issuer::new("b.test"));
    let bundles = held([&a, &b], TrustBundle::with_jwt_authority);
    let expected = Expectation {
        audience: "db",
        now: NOW,
        leeway: Duration::ZERO,
    };
    let genuine = a.jwt("spiffe://a.test/web");
    assert!(verify_jwt_svid(&genuine, |name| bundles.get(name), &expected).is_ok());
    let forged = b.jwt("spiffe://a.test/web");
    assert!(verify_jwt_svid(&forged, |name| bundles.get(name), &expected).is_err());
    for bundle in bundles.values() {
        let by_this = UnverifiedJwtSvid::parse(&forged).unwrap().verify(bundle, &expected);
        assert!(by_this.is_err(), "by the bundle of {}", bundle.trust_domain());
    }
}

#[covers("FED-06", "BUN-10")]
#[test]
fn a_wit_for_one_domain_under_the_key_of_another_is_refused_by_every_verifier() {
    let (a, b) = (Issuer::new("a.test"), Issuer::new("b.test"));
    let bundles = held([&a, &b], TrustBundle::with_wit_authority);
    let verify = |token: &str, bundle| UnverifiedWitSvid::parse(token).unwrap().verify(bundle, NOW, WitLeeway::NONE).map(drop);
    assert_eq!(verify(&a.wit("spiffe://a.test/web"), &bundles[&a.name]), Ok(()));
    let forged = b.wit("spiffe://a.test/web");
    for bundle in bundles.values() {
        assert!(verify(&forged, bundle).is_err(), "by the bundle of {}", bundle.trust_domain());
    }
}
