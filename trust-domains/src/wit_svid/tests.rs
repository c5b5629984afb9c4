//! What the vectors of `tests/fixtures/wit-svid-vectors.json` do not say: our own tokens and proofs, properties, and the caller's side.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use p256::ecdsa::signature::Verifier as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bundle::{PublicJwk, TrustBundle};
use crate::jws::{Es256Signature, SigningInput, TokenAlgorithm};
use crate::plan::authority::AuthorityId;
use crate::plan::validity::Validity;
use crate::public_key::PublicKey;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;
use crate::trust_domain::TrustDomain;

const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_sec1(self.0.public_key().as_ref()).unwrap()
    }

    fn sign(&self, input: SigningInput) -> String {
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        input.signed(&Es256Signature::from_der(signature.as_ref()).unwrap()).as_str().to_owned()
    }
}

struct World {
    issuer: Key,
    holder: Key,
    bundle: TrustBundle,
}

impl World {
    fn new() -> Self {
        let issuer = Key::new();
        let bundle = TrustBundle::new(td()).with_wit_authority(PublicJwk::es256(&kid(), &issuer.public()));
        Self {
            issuer,
            holder: Key::new(),
            bundle,
        }
    }

    fn wit(&self) -> String {
        let claims = WitClaims {
            sub: "spiffe://example.org/web".parse().unwrap(),
            validity: Validity::plan(NOW, seconds(300), NOW + seconds(9_000), None, seconds(60)).unwrap(),
            jti: TokenId::new([7; 16]),
            key: self.holder.public(),
        };
        self.issuer.sign(claims.signing_input(TokenAlgorithm::Es256, &kid()))
    }

    fn verify<'a>(&self, wit: &'a str) -> Result<UnprovenWitSvid<'a>, WitSvidError> {
        UnverifiedWitSvid::parse(wit)?.verify(&self.bundle, NOW, WitLeeway::NONE)
    }
}

fn td() -> TrustDomain {
    "example.org".parse().unwrap()
}

fn kid() -> AuthorityId {
    AuthorityId::from_key_id(&[0xab; 20]).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn audience(text: &str) -> ProofAudience {
    ProofAudience::new(text).unwrap()
}

fn input(wit: &str, audience: &ProofAudience, now: Timestamp) -> Result<SigningInput, ProofNotMade> {
    let request = ProofRequest {
        audience,
        now,
        life: ProofLife::default(),
        id: TokenId::new([9; 16]),
        bound: &BoundTokens::default(),
    };
    UnverifiedWitSvid::parse(wit).unwrap().proof_input(&request)
}

fn prove(unproven: UnprovenWitSvid<'_>, proof: &str, audiences: &[ProofAudience], now: Timestamp) -> Result<ProvenWitSvid, ProofError> {
    let expected = ProofExpectation {
        audiences,
        now,
        leeway: WitLeeway::NONE,
        longest: ProofLife::default(),
        bound: &BoundTokens::default(),
    };
    unproven.prove(proof, &expected)
}

#[covers("WIT-17", "WIT-18", "WIT-19", "WIT-20")]
#[test]
fn a_proof_is_good_for_its_token_its_recipient_and_its_minute() {
    let world = World::new();
    let (wit, db) = (world.wit(), audience("https://db.example/v1?page=1"));
    let proof = world.holder.sign(input(&wit, &db, NOW).unwrap());
    let recipient = [audience("https://db.example/v1")];
    let at = |now, audiences: &[ProofAudience]| prove(world.verify(&wit).unwrap(), &proof, audiences, now).map_err(|refused| refused.reason());
    let proven = at(NOW, &recipient).unwrap();
    assert_eq!(
        (proven.spiffe_id().as_str(), proven.proof_id()),
        ("spiffe://example.org/web", &*"09".repeat(16))
    );
    assert_eq!(proven.proof_expires_at(), NOW + seconds(60));
    assert!(at(NOW + seconds(59), &recipient).is_ok());
    assert_eq!(at(NOW + seconds(60), &recipient), Err("expired"));
    assert_eq!(at(NOW, &[audience("https://web.example/v1")]), Err("audience_other"));
    assert_eq!(at(NOW, &[]), Err("audience_other"), "a recipient without a name of its own accepts nothing");

    let thief = Key::new();
    let stolen = thief.sign(input(&wit, &db, NOW).unwrap());
    assert_eq!(prove(world.verify(&wit).unwrap(), &stolen, &recipient, NOW), Err(ProofError::SignatureInvalid));
    let next = world.wit();
    assert_eq!(
        prove(world.verify(&next).unwrap(), &proof, &recipient, NOW),
        Err(ProofError::TokenOther),
        "another signature is another token"
    );
}

#[covers("WIT-18", "WIT-20")]
#[test]
fn a_proof_says_what_the_draft_says_and_a_second_implementation_verifies_it() {
    let world = World::new();
    let wit = world.wit();
    let proof = world.holder.sign(input(&wit, &audience("https://db.example"), NOW).unwrap());
    let [header, payload, signature] = proof.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let decoded = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let wth = {
        use sha2::Digest as _;
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&wit))
    };
    assert_eq!(decoded(header), json!({ "alg": "ES256", "typ": "wpt+jwt" }));
    assert_eq!(
        decoded(payload),
        json!({ "aud": "https://db.example", "exp": NOW.unix() + 60, "jti": "09".repeat(16), "wth": wth })
    );
    let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let verifier = p256::ecdsa::VerifyingKey::from_sec1_bytes(world.holder.public().sec1()).unwrap();
    verifier.verify(format!("{header}.{payload}").as_bytes(), &signature).unwrap();
}

#[covers("WIT-20")]
#[test]
fn a_proof_ends_with_its_token_and_none_is_made_after() {
    let world = World::new();
    let (wit, db) = (world.wit(), audience("db"));
    let last = NOW + seconds(299);
    let proof = world.holder.sign(input(&wit, &db, last).unwrap());
    let unproven = UnverifiedWitSvid::parse(&wit).unwrap().verify(&world.bundle, last, WitLeeway::NONE).unwrap();
    assert_eq!(
        prove(unproven, &proof, std::slice::from_ref(&db), last).unwrap().proof_expires_at(),
        NOW + seconds(300)
    );
    let expired_at = NOW + seconds(300);
    assert_eq!(input(&wit, &db, expired_at).unwrap_err(), ProofNotMade::TokenEnded { expired_at });
}

#[covers("WIT-17")]
#[test]
fn a_holder_knows_its_own_token_by_its_key_and_takes_no_other() {
    let world = World::new();
    let wit = world.wit();
    let held = world.verify(&wit).unwrap().held_with(&world.holder.public()).unwrap();
    assert_eq!(
        (held.spiffe_id().as_str(), held.claims().expires_at()),
        ("spiffe://example.org/web", NOW + seconds(300))
    );
    assert_eq!(world.verify(&wit).unwrap().held_with(&Key::new().public()), Err(NotTheHolder));
}

#[covers("BUN-10", "WIT-23")]
#[test]
fn a_bundle_of_another_trust_domain_or_a_key_of_another_use_verifies_nothing() {
    let world = World::new();
    let wit = world.wit();
    let parse = || UnverifiedWitSvid::parse(&wit).unwrap();
    let pooled = TrustBundle::new("other.example".parse().unwrap()).with_wit_authority(PublicJwk::es256(&kid(), &world.issuer.public()));
    assert_eq!(parse().verify(&pooled, NOW, WitLeeway::NONE).unwrap_err().reason(), "wrong_trust_domain");
    let of_jwts = TrustBundle::new(td()).with_jwt_authority(PublicJwk::es256(&kid(), &world.issuer.public()));
    assert_eq!(parse().verify(&of_jwts, NOW, WitLeeway::NONE).unwrap_err().reason(), "key_unknown");
}

#[test]
fn debug_output_shows_no_token_and_no_identity_that_is_not_proved() {
    let world = World::new();
    let wit = world.wit();
    let unproven = format!("{:?}", world.verify(&wit).unwrap());
    let shown = format!(
        "{:?} {unproven} {:?}",
        UnverifiedWitSvid::parse(&wit).unwrap(),
        input(&wit, &audience("db"), NOW).unwrap()
    );
    assert!(!unproven.contains("example.org"), "{unproven}");
    for part in wit.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("eyJ"), "{shown}");
}

proptest! {
    #[covers("WIT-10", "WIT-11", "WIT-12")]
    #[test]
    fn whatever_the_times_only_exp_and_nbf_decide(
        exp in -200i64..400, iat in proptest::option::of(-400i64..400), nbf in proptest::option::of(-400i64..400), leeway in 0u64..=120,
    ) {
        let world = World::new();
        let mut claims = serde_json::to_value(WitClaims {
            sub: "spiffe://example.org/web".parse().unwrap(),
            validity: Validity::plan(NOW, seconds(300), NOW + seconds(9_000), None, seconds(60)).unwrap(),
            jti: TokenId::new([7; 16]),
            key: world.holder.public(),
        }).unwrap();
        claims["exp"] = json!(NOW.unix() + exp);
        claims.as_object_mut().unwrap().remove("iat");
        for (name, offset) in [("iat", iat), ("nbf", nbf)] {
            if let Some(offset) = offset {
                claims[name] = json!(NOW.unix() + offset);
            }
        }
        let wit = world.issuer.sign(SigningInput::new("wit+jwt", TokenAlgorithm::Es256, Some(&kid()), &claims));
        let leeway_s = i64::try_from(leeway).unwrap();
        let leeway = WitLeeway::new(seconds(leeway)).unwrap();
        let accepted = UnverifiedWitSvid::parse(&wit).unwrap().verify(&world.bundle, NOW, leeway).is_ok();
        prop_assert_eq!(accepted, exp + leeway_s > 0 && nbf.is_none_or(|nbf| nbf <= leeway_s));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,40}", 0..5)) {
        let world = World::new();
        let wit = world.wit();
        for text in [text, parts.join(".")] {
            prop_assert!(world.verify(&text).is_err());
            prop_assert!(prove(world.verify(&wit).unwrap(), &text, &[audience("db")], NOW).is_err());
        }
    }
}
