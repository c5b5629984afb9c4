//! WIT-SVIDs that the Workload API delivered, read and checked as their holder should, and proofs of possession made with their keys.

use std::collections::HashMap;

use agent::workload_api::messages::{WitBundlesResponse, Witsvid};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use trust_domains::jwk::EcJwk;
use trust_domains::jws::Es256Signature;
use trust_domains::problem::Code;
use trust_domains::public_key::PublicKey;
use trust_domains::token_svid::TokenId;
use trust_domains::wire::tokens::TokenText;
use trust_domains::wit_svid::{BoundTokens, ProofAudience, ProofLife, ProofRequest, UnverifiedWitSvid, WitLeeway};
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// One WIT-SVID with its key, which is never part of a result.
#[derive(Serialize)]
pub(crate) struct ReceivedWit {
    pub(crate) spiffe_id: SpiffeId,
    pub(crate) token: TokenText,
    pub(crate) expires_at: Timestamp,
    pub(crate) hint: Option<String>,
    /// What shows a recipient that this process has the key, if it was asked for.
    pub(crate) proof: Option<Proof>,
    #[serde(skip)]
    pub(crate) key: HolderKey,
}

/// A proof of possession for one recipient.
#[derive(Serialize)]
pub(crate) struct Proof {
    pub(crate) audience: String,
    pub(crate) token: TokenText,
}

/// The private key of a token, as it came and as it signs.
pub(crate) struct HolderKey {
    jwk: Zeroizing<String>,
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// The members of a private key that are read.
#[derive(Deserialize)]
struct PrivateMembers {
    kty: String,
    crv: String,
    x: String,
    y: String,
    alg: String,
    d: Zeroizing<String>,
}

impl ReceivedWit {
    /// Reads a token and its key, and verifies both as a relying party would, short of the proof: the holder has nothing to prove to itself.
    pub(crate) fn read(mut message: Witsvid, bundles: &HashMap<TrustDomain, TrustBundle>, now: Timestamp) -> Result<Self, Failure> {
        let token = TokenText::from(std::mem::take(&mut message.wit_svid));
        let key = HolderKey::read(std::mem::take(&mut message.wit_svid_key).into())?;
        let unverified = UnverifiedWitSvid::parse(token.as_str()).map_err(|error| Failure::of(&error))?;
        let trust_domain = unverified.trust_domain();
        let bundle = bundles
            .get(&trust_domain)
            .ok_or_else(|| invalid(format!("there is no WIT bundle of {trust_domain}")))?;
        let unproven = unverified.verify(bundle, now, WitLeeway::default()).map_err(|error| Failure::of(&error))?;
        let held = unproven.held_with(&key.public).map_err(|error| Failure::of(&error))?;
        if held.spiffe_id().as_str() != message.spiffe_id {
            return Err(invalid(format!("the message says {}, its token {}", message.spiffe_id, held.spiffe_id())));
        }
        let hint = std::mem::take(&mut message.hint);
        Ok(Self {
            spiffe_id: held.spiffe_id().clone(),
            expires_at: held.claims().expires_at(),
            hint: Some(hint).filter(|hint| !hint.is_empty()),
            proof: None,
            token,
            key,
        })
    }

    /// Makes a fresh proof for a recipient, good for a minute: each request needs one of its own (WIT-20).
    pub(crate) fn prove(&mut self, audience: &ProofAudience, now: Timestamp) -> Result<(), Failure> {
        let token = UnverifiedWitSvid::parse(self.token.as_str()).map_err(|error| Failure::of(&error))?;
        let request = ProofRequest {
            audience,
            now,
            life: ProofLife::default(),
            id: TokenId::new(random()?),
            bound: &BoundTokens::default(),
        };
        let input = token.proof_input(&request).map_err(|error| Failure::of(&error))?;
        let signature = self.key.sign(input.as_bytes())?;
        self.proof = Some(Proof {
            audience: audience.as_str().to_owned(),
            token: input.signed(&signature),
        });
        Ok(())
    }
}

impl HolderKey {
    /// Reads a private key: its two halves must be of one key, and for ES256.
    fn read(jwk: Zeroizing<String>) -> Result<Self, Failure> {
        let wrong = |what: &str| invalid(format!("the private key of a WIT-SVID {what}"));
        let members: PrivateMembers = serde_json::from_str(&jwk).map_err(|_| wrong("is no EC key as a JWK"))?;
        if members.alg != "ES256" {
            return Err(wrong("is not one for ES256"));
        }
        let PrivateMembers { kty, crv, x, y, d, .. } = members;
        let public = EcJwk { kty, crv, x, y }.public_key().map_err(|_| wrong("is no P-256 key"))?;
        let scalar = Zeroizing::new(URL_SAFE_NO_PAD.decode(&*d).map_err(|_| wrong("is not in base64url"))?);
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &scalar, public.sec1());
        let pair = pair.map_err(|_| wrong("is not that of its public half"))?;
        Ok(Self { jwk, pair, public })
    }

    /// Returns the key as it came.
    pub(crate) fn jwk(&self) -> &str {
        &self.jwk
    }

    fn sign(&self, message: &[u8]) -> Result<Es256Signature, Failure> {
        let failed = || Failure::new(Code::Internal, "the cryptographic library failed");
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
        Es256Signature::from_der(signature.as_ref()).map_err(|_| failed())
    }
}

/// Reads the WIT bundles as the Workload API sends them.
pub(crate) fn wit_bundles_of(response: WitBundlesResponse) -> Result<HashMap<TrustDomain, TrustBundle>, Failure> {
    let read = |(id, keys): (String, String)| {
        let trust_domain: TrustDomain = id.strip_prefix("spiffe://").unwrap_or(&id).parse().map_err(|error| Failure::of(&error))?;
        let bundle = TrustBundle::new(trust_domain.clone())
            .with_wit_jwks(keys.as_bytes())
            .map_err(|error| Failure::of(&error))?;
        Ok((trust_domain, bundle))
    };
    response.bundles.into_iter().map(read).collect()
}

fn random<const LEN: usize>() -> Result<[u8; LEN], Failure> {
    let mut octets = [0; LEN];
    let drawn = SystemRandom::new().fill(&mut octets);
    drawn.map_err(|_| Failure::new(Code::Internal, "there is no source of randomness"))?;
    Ok(octets)
}

fn invalid(detail: String) -> Failure {
    Failure::new(Code::WitSvidInvalid, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::encoding::AsBigEndian as _;
    use aws_lc_rs::signature::KeyPair as _;
    use conformance::covers;
    use serde_json::{Value, json};
    use trust_domains::bundle::PublicJwk;
    use trust_domains::jws::TokenAlgorithm;
    use trust_domains::plan::authority::AuthorityId;
    use trust_domains::plan::validity::Validity;
    use trust_domains::wit_svid::{ProofExpectation, WitClaims};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

    fn pair() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_sec1(pair.public_key().as_ref()).unwrap();
        (pair, public)
    }

    fn jwk(pair: &EcdsaKeyPair, public: &PublicKey) -> Value {
        let EcJwk { kty, crv, x, y } = EcJwk::of(public);
        let d = URL_SAFE_NO_PAD.encode(pair.private_key().as_be_bytes().unwrap().as_ref());
        json!({ "kty": kty, "crv": crv, "x": x, "y": y, "d": d, "alg": "ES256" })
    }

    /// A message as an agent sends it, with the bundles that came beside it.
    fn message() -> (Witsvid, HashMap<TrustDomain, TrustBundle>) {
        let ((issuer, issuer_public), (holder, holder_public)) = (pair(), pair());
        let kid = AuthorityId::from_key_id(&[7; 20]).unwrap();
        let life = Duration::from_secs(300);
        let claims = WitClaims {
            sub: "spiffe://example.org/web".parse().unwrap(),
            validity: Validity::plan(NOW, life, NOW + life * 2, None, Duration::from_secs(60)).unwrap(),
            jti: TokenId::new([1; 16]),
            key: holder_public,
        };
        let input = claims.signing_input(TokenAlgorithm::Es256, &kid);
        let signature = issuer.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        let token = input.signed(&Es256Signature::from_der(signature.as_ref()).unwrap());
        let domain: TrustDomain = "example.org".parse().unwrap();
        let bundle = TrustBundle::new(domain.clone()).with_wit_authority(PublicJwk::es256(&kid, &issuer_public));
        let mut message = Witsvid::default();
        message.spiffe_id = "spiffe://example.org/web".to_owned();
        message.wit_svid = token.as_str().to_owned();
        message.wit_svid_key = jwk(&holder, &holder_public).to_string();
        (message, HashMap::from([(domain, bundle)]))
    }

    #[covers("WIT-17", "WIT-18", "WIT-19", "WIT-20")]
    #[test]
    fn a_proof_is_taken_by_its_recipient_once_made_and_by_no_other() {
        let (message, bundles) = message();
        let mut received = ReceivedWit::read(message, &bundles, NOW).ok().unwrap();
        let audience = ProofAudience::new("https://api.example.com/orders?page=2").unwrap();
        let mut proofs = Vec::new();
        for _ in 0..2 {
            received.prove(&audience, NOW).ok().unwrap();
            let proof = received.proof.as_ref().unwrap();
            assert_eq!(proof.audience, "https://api.example.com/orders");
            proofs.push(proof.token.as_str().to_owned());
        }
        assert_ne!(proofs[0], proofs[1], "a fresh one each time");
        let domain: TrustDomain = "example.org".parse().unwrap();
        let judge = |own: &str| {
            let token = UnverifiedWitSvid::parse(received.token.as_str()).unwrap();
            let audiences = [ProofAudience::new(own).unwrap()];
            let expected = ProofExpectation {
                audiences: &audiences,
                now: NOW,
                leeway: WitLeeway::default(),
                longest: ProofLife::default(),
                bound: &BoundTokens::default(),
            };
            token.verify(&bundles[&domain], NOW, WitLeeway::default()).unwrap().prove(&proofs[0], &expected)
        };
        assert_eq!(
            judge("https://api.example.com/orders").unwrap().spiffe_id().as_str(),
            "spiffe://example.org/web"
        );
        assert!(judge("https://other.example.com/orders").is_err());

        let shown = serde_json::to_string(&received).unwrap();
        let private: Value = serde_json::from_str(received.key.jwk()).unwrap();
        assert!(!shown.contains(private["d"].as_str().unwrap()), "the key is in no result");
    }

    #[covers("WAPI-07", "WAPI-09")]
    #[test]
    fn a_message_that_lacks_something_or_mixes_two_is_reported_and_not_used() {
        /// Takes something from a message.
        type Spoil = fn(&mut Witsvid);
        let table: [(&str, Spoil); 9] = [
            ("no SPIFFE ID", |svid| svid.spiffe_id.clear()),
            ("another SPIFFE ID", |svid| svid.spiffe_id.push('x')),
            ("no token", |svid| svid.wit_svid.clear()),
            ("no key", |svid| svid.wit_svid_key.clear()),
            ("the key of another", |svid| {
                let (other, public) = pair();
                svid.wit_svid_key = jwk(&other, &public).to_string();
            }),
            ("halves of two keys", |svid| {
                let (other, public) = pair();
                change_key(svid, "d", jwk(&other, &public)["d"].clone());
            }),
            ("a key for another algorithm", |svid| change_key(svid, "alg", json!("ES384"))),
            ("a public key alone", |svid| change_key(svid, "d", json!(""))),
            ("a tampered token", |svid| svid.wit_svid.insert(200, 'A')),
        ];
        for (what, spoil) in table {
            let (mut message, bundles) = message();
            spoil(&mut message);
            assert!(ReceivedWit::read(message, &bundles, NOW).is_err(), "{what}");
        }
        let (message, _) = message();
        let foreign = HashMap::from([("other.test".parse().unwrap(), TrustBundle::new("other.test".parse().unwrap()))]);
        assert!(ReceivedWit::read(message, &foreign, NOW).is_err(), "no bundle of its trust domain");
    }

    fn change_key(svid: &mut Witsvid, member: &str, value: Value) {
        let mut key: Value = serde_json::from_str(&svid.wit_svid_key).unwrap();
        key[member] = value;
        svid.wit_svid_key = key.to_string();
    }
}
