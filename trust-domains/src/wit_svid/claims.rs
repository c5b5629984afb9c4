//! The claims of a WIT-SVID that we issue (WIT-SVID sections 3 and 4).

use serde::Serialize;

use super::ConfirmationKey;
use crate::jws::{SigningInput, TokenAlgorithm};
use crate::plan::authority::AuthorityId;
use crate::plan::validity::Validity;
use crate::public_key::PublicKey;
use crate::spiffe_id::SpiffeId;
use crate::token_svid::TokenId;

/// What a WIT-SVID says, and nothing else (WIT-15): no `aud` (WIT-14), for the proof says whom it is for; no `iss` (WIT-13), which could make an ID token
/// of it; no `nbf`, so that a verifier's slow clock costs nothing.
#[derive(Debug, Clone)]
pub struct WitClaims {
    /// The workload's SPIFFE ID (WIT-06).
    pub sub: SpiffeId,
    /// When it was issued and when it ends (WIT-10, WIT-12).
    pub validity: Validity,
    /// Its own id (WIT-09).
    pub jti: TokenId,
    /// The key whose possession was proved (WIT-07).
    pub key: PublicKey,
}

impl WitClaims {
    /// Returns what the key with this identifier and algorithm signs: a header of exactly `alg`, `kid` and `typ` (WIT-02 to WIT-05), and these claims.
    #[must_use]
    pub fn signing_input(&self, algorithm: TokenAlgorithm, key: &AuthorityId) -> SigningInput {
        SigningInput::new("wit+jwt", algorithm, Some(key), self)
    }
}

impl Serialize for WitClaims {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            sub: &self.sub,
            exp: self.validity.not_after().unix(),
            iat: self.validity.issued_at().unix(),
            jti: self.jti,
            cnf: Confirmation {
                jwk: &ConfirmationKey::es256(&self.key),
            },
        }
        .serialize(serializer)
    }
}

/// The claims as they are written: times are NumericDates in whole seconds (RFC 7519 section 2).
#[derive(Serialize)]
struct Written<'a> {
    sub: &'a SpiffeId,
    exp: i64,
    iat: i64,
    jti: TokenId,
    cnf: Confirmation<'a>,
}

#[derive(Serialize)]
struct Confirmation<'a> {
    jwk: &'a ConfirmationKey,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use conformance::covers;
    use serde_json::{Value, json};

    use super::*;
    use crate::jwk::EcJwk;
    use crate::timestamp::Timestamp;

    #[covers(
        "WIT-01", "WIT-02", "WIT-03", "WIT-04", "WIT-05", "WIT-06", "WIT-07", "WIT-08", "WIT-09", "WIT-10", "WIT-13", "WIT-14", "WIT-15"
    )]
    #[test]
    fn a_wit_svid_says_who_until_when_and_for_which_key_and_nothing_else() {
        let now = Timestamp::from_unix(1_795_338_000);
        let EcJwk { x, y, .. } = serde_json::from_value(json!({ "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" }))
        .unwrap();
        let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y });
        let claims = WitClaims {
            sub: "spiffe://example.org/web".parse().unwrap(),
            validity: Validity::plan(now, Duration::from_secs(300), now + Duration::from_secs(86_400), None, Duration::from_secs(60)).unwrap(),
            jti: TokenId::new([7; 16]),
            key: serde_json::from_value::<EcJwk>(jwk.clone()).unwrap().public_key().unwrap(),
        };
        let input = claims.signing_input(TokenAlgorithm::Es256, &AuthorityId::from_key_id(&[0xab; 20]).unwrap());
        let [header, payload] = std::str::from_utf8(input.as_bytes()).unwrap().split('.').collect::<Vec<_>>()[..] else {
            panic!("two parts before the signature")
        };
        let decoded = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(header), json!({ "alg": "ES256", "kid": "ab".repeat(20), "typ": "wit+jwt" }));
        assert_eq!(
            decoded(payload),
            json!({ "sub": "spiffe://example.org/web", "exp": now.unix() + 300, "iat": now.unix(), "jti": "07".repeat(16), "cnf": { "jwk": jwk } })
        );
    }
}
