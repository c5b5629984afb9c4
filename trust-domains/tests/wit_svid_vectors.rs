//! Replays `tests/fixtures/wit-svid-vectors.json`: tokens and proofs that another program made, each with what a validator must say of it.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use conformance::covers;
use serde::Deserialize;
use serde_json::Value;
use trust_domains::jws::JwsAlgorithm;
use trust_domains::jwt_svid::UnverifiedJwtSvid;
use trust_domains::token_svid::MAX_TOKEN_BYTES;
use trust_domains::wit_svid::{
    BoundTokens, ProofAudience, ProofError, ProofExpectation, ProofLife, ProvenWitSvid, UnprovenWitSvid, UnverifiedWitSvid, WitLeeway, WitSvidError,
};
use trust_domains::{SpiffeId, Timestamp, TrustBundle};

#[derive(Deserialize)]
struct Vectors {
    now: i64,
    leeway_s: u64,
    longest_proof_s: u64,
    audiences: Vec<String>,
    bundles: HashMap<SpiffeId, Value>,
    accepted: Vec<Accepted>,
    refused_tokens: Vec<RefusedToken>,
    refused_proofs: Vec<RefusedProof>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    rule: String,
    wit: String,
    proof: String,
    spiffe_id: SpiffeId,
    #[serde(default)]
    bound: Bound,
}

#[derive(Deserialize)]
struct RefusedToken {
    name: String,
    rule: String,
    reason: String,
    wit: String,
}

#[derive(Deserialize)]
struct RefusedProof {
    name: String,
    rule: String,
    reason: String,
    wit: String,
    proof: String,
    #[serde(default)]
    bound: Bound,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    access_token: Option<String>,
    transaction_token: Option<String>,
    others: BTreeMap<String, String>,
}

impl Bound {
    fn tokens(&self) -> BoundTokens {
        let mut tokens = BoundTokens::default();
        if let Some(token) = &self.access_token {
            tokens = tokens.with_access_token(token);
        }
        if let Some(token) = &self.transaction_token {
            tokens = tokens.with_transaction_token(token);
        }
        self.others.iter().fold(tokens, |tokens, (name, value)| tokens.with_other(name, value).unwrap())
    }
}

impl Vectors {
    fn read() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wit-svid-vectors.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now)
    }

    fn leeway(&self) -> WitLeeway {
        WitLeeway::new(Duration::from_secs(self.leeway_s)).unwrap()
    }

    /// What `verify` says, or the reason; a missing bundle is a reason of the caller's side.
    fn verify<'a>(&self, wit: &'a str) -> Result<UnprovenWitSvid<'a>, (&'static str, String)> {
        let told = |error: WitSvidError| (error.reason(), format!("{error} {error:?}"));
        let unverified = UnverifiedWitSvid::parse(wit).map_err(told)?;
        let trust_domain = unverified.trust_domain();
        let Some(document) = self.bundles.get(&trust_domain.id()) else {
            return Err(("no_bundle", String::new()));
        };
        let bundle = TrustBundle::parse_spiffe_json(&trust_domain, document.to_string().as_bytes()).unwrap();
        unverified.verify(&bundle, self.now(), self.leeway()).map_err(told)
    }

    fn prove(&self, unproven: UnprovenWitSvid<'_>, proof: &str, bound: &Bound) -> Result<ProvenWitSvid, ProofError> {
        let audiences: Vec<_> = self.audiences.iter().map(|audience| ProofAudience::new(audience).unwrap()).collect();
        let expected = ProofExpectation {
            audiences: &audiences,
            now: self.now(),
            leeway: self.leeway(),
            longest: ProofLife::new(Duration::from_secs(self.longest_proof_s)).unwrap(),
            bound: &bound.tokens(),
        };
        unproven.prove(proof, &expected)
    }
}

#[covers("WIT-01", "WIT-04", "WIT-05", "WIT-08", "WIT-12", "WIT-14", "WIT-18", "WIT-19", "WIT-23")]
#[test]
fn a_wit_svid_with_its_proof_is_accepted_with_its_subject() {
    let vectors = Vectors::read();
    for Accepted {
        name,
        rule,
        wit,
        proof,
        spiffe_id,
        bound,
    } in &vectors.accepted
    {
        let unproven = vectors.verify(wit).unwrap_or_else(|(reason, _)| panic!("{rule} {name}: {reason}"));
        let proven = vectors.prove(unproven, proof, bound).unwrap_or_else(|error| panic!("{rule} {name}: {error}"));
        assert_eq!(proven.spiffe_id(), spiffe_id, "{name}");
        assert_eq!(proven.claims().all()["sub"], spiffe_id.as_str(), "{name}");
        assert_eq!(proven.proof_claims()["jti"], proven.proof_id(), "{name}");
    }
    let names: BTreeSet<&str> = vectors.accepted.iter().map(|vector| vector.name.as_str()).collect();
    for algorithm in JwsAlgorithm::ALL {
        assert!(names.contains(&*format!("{algorithm} of the issuer")) && names.contains(&*format!("{algorithm} of the holder")));
    }
}

#[covers(
    "ID-15", "WIT-01", "WIT-02", "WIT-03", "WIT-04", "WIT-05", "WIT-06", "WIT-07", "WIT-08", "WIT-10", "WIT-11", "WIT-14", "WIT-23", "BUN-10"
)]
#[test]
fn what_is_no_wit_svid_is_refused_for_its_reason_and_the_reason_does_not_show_it() {
    let vectors = Vectors::read();
    assert!(vectors.refused_tokens.len() > 70);
    for RefusedToken { name, rule, reason, wit } in &vectors.refused_tokens {
        let (said, text) = vectors.verify(wit).map(|_| ()).expect_err(&format!("{rule} {name} was accepted"));
        assert_eq!(said, reason, "{rule} {name}");
        for part in wit.split('.').filter(|part| part.len() > 16) {
            assert!(!text.contains(part), "{name}");
        }
    }
}

#[covers("WIT-17", "WIT-18", "WIT-19", "WIT-20")]
#[test]
fn a_wit_svid_with_another_proof_is_refused_for_its_reason_and_the_reason_does_not_show_it() {
    let vectors = Vectors::read();
    assert!(vectors.refused_proofs.len() > 50);
    for RefusedProof {
        name,
        rule,
        reason,
        wit,
        proof,
        bound,
    } in &vectors.refused_proofs
    {
        let unproven = vectors
            .verify(wit)
            .unwrap_or_else(|(reason, _)| panic!("{name}: the token itself is good: {reason}"));
        let refused = vectors
            .prove(unproven, proof, bound)
            .map(|_| ())
            .expect_err(&format!("{rule} {name} was accepted"));
        assert_eq!(refused.reason(), reason, "{rule} {name}: {refused}");
        for part in proof.split('.').filter(|part| part.len() > 16) {
            assert!(!format!("{refused} {refused:?}").contains(part), "{name}");
        }
    }
}

#[test]
fn the_vectors_have_every_reason_that_a_validator_can_give() {
    let vectors = Vectors::read();
    let tokens: BTreeSet<&str> = vectors.refused_tokens.iter().map(|vector| vector.reason.as_str()).collect();
    let proofs: BTreeSet<&str> = vectors.refused_proofs.iter().map(|vector| vector.reason.as_str()).collect();
    // Of those of tokens only wrong_trust_domain is missing: a caller that takes the wrong bundle sees it, and a test beside the code shows it.
    assert_eq!((tokens.len(), proofs.len()), (26, 20), "{tokens:?} {proofs:?}");
}

#[covers("WIT-18")]
#[test]
fn one_changed_octet_of_token_or_proof_and_nothing_is_accepted() {
    let vectors = Vectors::read();
    let vector = vectors.accepted.iter().find(|vector| vector.name == "ES256 of the holder").unwrap();
    let changes = |text: &str| {
        let octets = text.as_bytes().to_vec();
        (0..octets.len()).map(move |at| {
            let mut changed = octets.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(changed).unwrap()
        })
    };
    for wit in changes(&vector.wit) {
        let accepted = vectors.verify(&wit).map(|unproven| vectors.prove(unproven, &vector.proof, &vector.bound));
        assert!(!matches!(accepted, Ok(Ok(_))), "{wit}");
    }
    for proof in changes(&vector.proof) {
        let unproven = vectors.verify(&vector.wit).unwrap();
        assert!(vectors.prove(unproven, &proof, &vector.bound).is_err(), "{proof}");
    }
}

#[covers("WIT-18", "JWT-06")]
#[test]
fn neither_a_wit_svid_nor_its_proof_passes_for_a_jwt_svid() {
    for vector in Vectors::read().accepted {
        for text in [&vector.wit, &vector.proof] {
            assert_eq!(UnverifiedJwtSvid::parse(text).unwrap_err().reason(), "wrong_type", "{}", vector.name);
        }
    }
}

#[test]
fn a_token_at_the_limit_is_read_and_one_above_is_not() {
    let of_length = |length: usize| UnverifiedWitSvid::parse(&".".repeat(length)).unwrap_err().reason();
    assert_eq!((of_length(MAX_TOKEN_BYTES), of_length(MAX_TOKEN_BYTES + 1)), ("not_compact", "too_long"));
}
