//! Writing a JWT-SVID (JWT-01).

use super::Claims;
use crate::jws::{SigningInput, TokenAlgorithm};
use crate::plan::authority::AuthorityId;

impl Claims {
    /// Returns what the key with this identifier and algorithm signs: a header of exactly `alg`, `kid` and `typ` (JWT-02), and these claims.
    #[must_use]
    pub fn signing_input(&self, algorithm: TokenAlgorithm, key: &AuthorityId) -> SigningInput {
        SigningInput::new("JWT", algorithm, Some(key), self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use conformance::covers;
    use p256::ecdsa::signature::Verifier as _;
    use serde_json::{Value, json};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::jws::Es256Signature;
    use crate::jwt_svid::{Audience, ExtraClaims};
    use crate::plan::validity::Validity;
    use crate::timestamp::Timestamp;
    use crate::token_svid::TokenId;

    fn claims() -> Claims {
        let now = Timestamp::from_unix(1_795_338_000);
        Claims {
            sub: "spiffe://example.org/web".parse().unwrap(),
            aud: Audience::new(vec!["spiffe://example.org/db".to_owned()]).unwrap(),
            validity: Validity::plan(now, Duration::from_secs(300), now + Duration::from_secs(86_400), None, Duration::from_secs(60)).unwrap(),
            nbf: false,
            jti: TokenId::new([7; 16]),
            iss: None,
            extra: ExtraClaims::default(),
        }
    }

    fn key() -> AuthorityId {
        AuthorityId::from_key_id(&[0xab; 20]).unwrap()
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn parts(claims: &Claims) -> (Value, Value) {
        let input = claims.signing_input(TokenAlgorithm::Es256, &key());
        let text = std::str::from_utf8(input.as_bytes()).unwrap();
        let (header, payload) = text.split_once('.').unwrap();
        (decoded(header), decoded(payload))
    }

    #[covers("JWT-02", "JWT-03", "JWT-05", "JWT-06")]
    #[test]
    fn jwt_02_jwt_03_jwt_05_jwt_06_the_header_has_three_parameters_and_no_other() {
        assert_eq!(parts(&claims()).0, json!({ "alg": "ES256", "kid": "ab".repeat(20), "typ": "JWT" }));
    }

    #[covers("JWT-07", "JWT-08", "JWT-10")]
    #[test]
    fn jwt_07_jwt_08_jwt_10_the_claims_are_those_of_the_standard() {
        let plain = json!({
            "sub": "spiffe://example.org/web",
            "aud": "spiffe://example.org/db",
            "exp": 1_795_338_300,
            "iat": 1_795_338_000,
            "jti": "07".repeat(16),
        });
        assert_eq!(parts(&claims()).1, plain);
    }

    #[covers("JWT-12")]
    #[test]
    fn jwt_12_more_claims_are_there_when_they_are_asked_for() {
        let full = Claims {
            aud: Audience::new(vec!["a".to_owned(), "b".to_owned()]).unwrap(),
            nbf: true,
            iss: Some("https://id.example.org".parse().unwrap()),
            extra: ExtraClaims::new([("tier".to_owned(), json!({ "gold": [1, 2] }))].into()).unwrap(),
            ..claims()
        };
        let (_, written) = parts(&full);
        assert_eq!(written["aud"], json!(["a", "b"]));
        assert_eq!(written["nbf"], json!(1_795_337_940));
        assert_eq!(written["iss"], json!("https://id.example.org"));
        assert_eq!(written["tier"], json!({ "gold": [1, 2] }));
        assert_eq!(written.as_object().unwrap().len(), 8);
    }

    #[covers("JWT-01", "JWT-11")]
    #[test]
    fn jwt_01_jwt_11_a_token_is_in_compact_form_and_a_second_implementation_verifies_it() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let input = claims().signing_input(TokenAlgorithm::Es256, &key());
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        let token = input.signed(&Es256Signature::from_der(signature.as_ref()).unwrap());
        let [header, payload, signature] = token.as_str().split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let signed = format!("{header}.{payload}");
        let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let verifier = p256::ecdsa::VerifyingKey::from_sec1_bytes(pair.public_key().as_ref()).unwrap();
        verifier.verify(signed.as_bytes(), &signature).unwrap();
        assert!(verifier.verify(signed.replace('a', "b").as_bytes(), &signature).is_err());
        assert!(!token.as_str().contains('='));
    }

    #[test]
    fn debug_output_shows_no_token() {
        let input = claims().signing_input(TokenAlgorithm::Es256, &key());
        assert!(!format!("{input:?}").contains("eyJ"));
    }
}
