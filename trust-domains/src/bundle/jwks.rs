//! The JWT keys of a bundle as a plain JWK Set (RFC 7517 section 5), for relying parties that know no SPIFFE bundle.

use serde::Serialize;
use serde_json::Value;

use crate::bundle::json::USE_JWT;
use crate::bundle::parse::{MAX_BUNDLE_BYTES, MAX_BUNDLE_KEYS, ParseBundleError, RawDocument, take_token_key};
use crate::bundle::{PublicJwk, TrustBundle};

/// `use` of a key that verifies signatures (RFC 7517 section 4.2), as key sets for OpenID Connect have it.
const USE_SIGNATURE: &str = "sig";

#[derive(Serialize)]
struct KeySet<'a> {
    keys: &'a [PublicJwk],
}

impl TrustBundle {
    /// Adds the JWT keys of a plain JWK Set, as the Workload API sends it: those that name no use, `sig` or `jwt-svid` (T6). Others are passed over.
    ///
    /// # Errors
    ///
    /// When the document as a whole is no key set.
    pub fn with_jwks(mut self, document: &[u8]) -> Result<Self, ParseBundleError> {
        if document.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLarge {
                limit: MAX_BUNDLE_BYTES,
                actual: document.len(),
            });
        }
        let keys = RawDocument::read(document)?.into_keys().ok_or(ParseBundleError::KeysMissing)?;
        if keys.len() > MAX_BUNDLE_KEYS {
            return Err(ParseBundleError::TooManyKeys {
                limit: MAX_BUNDLE_KEYS,
                actual: keys.len(),
            });
        }
        for jwk in keys.iter().filter_map(Value::as_object) {
            let purpose = jwk.get("use");
            if purpose.is_none_or(|purpose| purpose == USE_SIGNATURE || purpose == USE_JWT) {
                // One that is not understood, or has an ID that another has, does not cost the others (BUN-06).
                let _skipped = take_token_key(&mut self.jwt_authorities, jwk);
            }
        }
        Ok(self)
    }

    /// Returns the keys of JWT-SVIDs, and no others (WAPI-17), as a JWK Set without line breaks.
    ///
    /// It has no `use`: that of the SPIFFE bundle, `jwt-svid`, stops common JWT libraries, which know `sig` only (T6), and all keys here are for one use.
    #[must_use]
    #[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
    pub fn to_jwks_json(&self) -> String {
        serde_json::to_string(&KeySet { keys: &self.jwt_authorities }).expect("a key set is always JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // WAPI-17, T6
    #[test]
    fn a_key_set_has_the_jwt_keys_alone_and_names_no_use() {
        let key = |purpose: &str, kid: &str| {
            json!({
                "use": purpose, "kid": kid, "kty": "EC", "crv": "P-256", "alg": "ES256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "d": "secret",
            })
        };
        let document = json!({ "keys": [key("wit-svid", "w"), key("jwt-svid", "j"), key("jwt-svid", "k")] });
        let bundle = TrustBundle::parse_spiffe_json(&"td".parse().unwrap(), document.to_string().as_bytes()).unwrap();
        let mut expected = json!({ "keys": [key("", "j"), key("", "k")] });
        for key in expected["keys"].as_array_mut().unwrap() {
            key.as_object_mut().unwrap().retain(|name, _| name != "use" && name != "d");
        }
        assert_eq!(serde_json::from_str::<Value>(&bundle.to_jwks_json()).unwrap(), expected);
        assert_eq!(TrustBundle::new("td".parse().unwrap()).to_jwks_json(), r#"{"keys":[]}"#);

        let read = |document: &str| TrustBundle::new("td".parse().unwrap()).with_jwks(document.as_bytes());
        let again = read(&bundle.to_jwks_json()).unwrap();
        assert_eq!(again.jwt_authorities(), bundle.jwt_authorities());
        let mixed = json!({ "keys": [key("sig", "a"), key("jwt-svid", "b"), key("enc", "c"), key("wit-svid", "d"), {"kty": "EC"}, 7] });
        let kids = |bundle: TrustBundle| bundle.jwt_authorities().iter().map(|key| key.key_id().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(kids(read(&mixed.to_string()).unwrap()), ["a", "b"]);
        assert_eq!(read("{}"), Err(ParseBundleError::KeysMissing));
        assert!(matches!(read("[]"), Err(ParseBundleError::Malformed { .. })));
    }
}
