//! Replays `tests/fixtures/jwt-svid-vectors.json`: tokens that another program made, each with what a validator must say of it.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use conformance::covers;
use serde::Deserialize;
use serde_json::Value;
use trust_domains::jws::JwsAlgorithm;
use trust_domains::jwt_svid::{Expectation, JwtSvidError, UnverifiedJwtSvid, VerifiedJwtSvid, verify_jwt_svid};
use trust_domains::token_svid::MAX_TOKEN_BYTES;
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

#[derive(Deserialize)]
struct Vectors {
    now: i64,
    leeway_s: u64,
    audience: String,
    bundles: HashMap<SpiffeId, Value>,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    rule: String,
    token: String,
    spiffe_id: SpiffeId,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    rule: String,
    reason: String,
    token: String,
}

impl Vectors {
    fn read() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/jwt-svid-vectors.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn bundle(&self, trust_domain: &TrustDomain) -> Option<Box<TrustBundle>> {
        let document = self.bundles.get(&trust_domain.id())?;
        Some(Box::new(TrustBundle::parse_spiffe_json(trust_domain, document.to_string().as_bytes()).unwrap()))
    }

    fn verify(&self, token: &str) -> Result<VerifiedJwtSvid, JwtSvidError> {
        let expected = Expectation {
            audience: &self.audience,
            now: Timestamp::from_unix(self.now),
            leeway: Duration::from_secs(self.leeway_s),
        };
        verify_jwt_svid(token, |trust_domain| self.bundle(trust_domain), &expected)
    }
}

#[covers("JWT-03", "JWT-06", "JWT-09", "JWT-10", "JWT-11", "JWT-12", "JWT-15")]
#[test]
fn what_is_a_jwt_svid_is_accepted_with_its_subject_and_claims() {
    let vectors = Vectors::read();
    for Accepted { name, rule, token, spiffe_id } in &vectors.accepted {
        let verified = vectors.verify(token).unwrap_or_else(|error| panic!("{rule} {name}: {error}"));
        assert_eq!(verified.spiffe_id(), spiffe_id, "{name}");
        assert_eq!(verified.claims().all()["sub"], spiffe_id.as_str(), "{name}");
    }
    // JWT-03
    let names: BTreeSet<&str> = vectors.accepted.iter().map(|vector| vector.name.as_str()).collect();
    for algorithm in JwsAlgorithm::ALL {
        assert!(names.contains(algorithm.name()), "{algorithm}");
    }
}

#[covers(
    "ID-15", "JWT-01", "JWT-04", "JWT-05", "JWT-06", "JWT-07", "JWT-09", "JWT-10", "JWT-11", "JWT-15", "BUN-10", "WAPI-19"
)]
#[test]
fn what_is_none_is_refused_for_its_reason_and_the_reason_does_not_show_it() {
    let vectors = Vectors::read();
    assert!(vectors.refused.len() > 70);
    for Refused { name, rule, reason, token } in &vectors.refused {
        let error = vectors.verify(token).map(|_| ()).expect_err(&format!("{rule} {name} was accepted"));
        assert_eq!(error.reason(), reason, "{rule} {name}: {error}");
        for part in token.split('.').filter(|part| part.len() > 16) {
            assert!(!format!("{error} {error:?}").contains(part), "{name}");
        }
    }
}

#[test]
fn the_vectors_have_every_reason_that_a_validator_can_give() {
    // Only a caller that takes the wrong bundle sees this one; a test beside the code shows it.
    const NOT_OF_A_TOKEN: &str = "wrong_trust_domain";
    let vectors = Vectors::read();
    let reasons: BTreeSet<&str> = vectors.refused.iter().map(|vector| vector.reason.as_str()).collect();
    assert_eq!(reasons.len(), 23, "{reasons:?}");
    assert!(!reasons.contains(NOT_OF_A_TOKEN));
}

#[covers("JWT-11")]
#[test]
fn one_changed_octet_makes_every_accepted_token_a_refused_one() {
    let vectors = Vectors::read();
    for vector in &vectors.accepted {
        let octets = vector.token.as_bytes();
        // Every octet of the short ones; RSA signatures are long, and each octet costs a verification.
        for at in (0..octets.len()).step_by(if octets.len() < 300 { 1 } else { 7 }) {
            let mut changed = octets.to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(vectors.verify(&changed).is_err(), "{}: octet {at}", vector.name);
        }
    }
}

#[test]
fn a_token_at_the_limit_is_read_and_one_above_is_not() {
    let of_length = |length: usize| UnverifiedJwtSvid::parse(&".".repeat(length)).unwrap_err().reason();
    assert_eq!((of_length(MAX_TOKEN_BYTES), of_length(MAX_TOKEN_BYTES + 1)), ("not_compact", "too_long"));
}
