//! The JWT keys of a bundle as a plain JWK Set (RFC 7517 section 5), for relying parties that know no SPIFFE bundle.

use serde::Serialize;
use serde_json::Value;

use crate::bundle::json::USE_JWT;
use crate::bundle::parse::{MAX_BUNDLE_BYTES, MAX_BUNDLE_KEYS, ParseBundleError, RawDocument, TokenUse};
use crate::bundle::{PublicJwk, TrustBundle};

/// `use` of a key that verifies signatures (RFC 7517 section 4.2), as key sets for OpenID Connect have it.
const USE_SIGNATURE: &str = "sig";

#[derive(Serialize)]
struct KeySet<'a> {
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<&'static str>,
    #[serde(flatten)]
    key: &'a PublicJwk,
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
                let _skipped = self.take_token_key(TokenUse::Jwt, jwk);
            }
        }
        Ok(self)
    }

    /// Returns the keys of JWT-SVIDs, and no others, as a JWK Set for relying parties that know nothing of SPIFFE, without line breaks.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        self.jwks(Some(USE_SIGNATURE))
    }

    /// Returns the keys of JWT-SVIDs, and no others (WAPI-17), as the Workload API sends them: a JWK Set without line breaks.
    ///
    /// It has no `use`: that of the SPIFFE bundle, `jwt-svid`, stops common JWT libraries, which know `sig` only (T6), and all keys here are for one use.
    #[must_use]
    pub fn to_workload_jwks(&self) -> String {
        self.jwks(None)
    }

    #[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
    fn jwks(&self, purpose: Option<&'static str>) -> String {
        let keys = self.jwt_authorities.iter().map(|key| Key { purpose, key });
        serde_json::to_string(&KeySet { keys: keys.collect() }).expect("a key set is always JSON")
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use serde_json::{Value, json};

    use super::*;

    #[covers("WAPI-17")]
    #[test]
    fn wapi_17_a_jwks_holds_the_keys_of_jwts_only() {
        let key = |purpose: &str, kid: &str| {
            json!({ "use": purpose, "kid": kid, "kty": "EC", "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
        };
        let document = json!({ "spiffe_sequence": 3, "keys": [key("jwt-svid", "one"), key("wit-svid", "two")] });
        let bundle = TrustBundle::parse_spiffe_json(&"example.org".parse().unwrap(), document.to_string().as_bytes()).unwrap();
        let jwks: Value = serde_json::from_str(&bundle.to_jwks()).unwrap();
        assert_eq!(jwks, json!({ "keys": [key("sig", "one")] }));
        let empty = TrustBundle::new("example.org".parse().unwrap());
        assert_eq!(empty.to_jwks(), r#"{"keys":[]}"#);
    }

    #[covers("WAPI-17")]
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
        assert_eq!(serde_json::from_str::<Value>(&bundle.to_workload_jwks()).unwrap(), expected);
        assert_eq!(TrustBundle::new("td".parse().unwrap()).to_workload_jwks(), r#"{"keys":[]}"#);

        let read = |document: &str| TrustBundle::new("td".parse().unwrap()).with_jwks(document.as_bytes());
        let again = read(&bundle.to_workload_jwks()).unwrap();
        assert_eq!(again.jwt_authorities(), bundle.jwt_authorities());
        let mixed = json!({ "keys": [key("sig", "a"), key("jwt-svid", "b"), key("enc", "c"), key("wit-svid", "d"), {"kty": "EC"}, 7] });
        let kids = |bundle: TrustBundle| bundle.jwt_authorities().iter().map(|key| key.key_id().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(kids(read(&mixed.to_string()).unwrap()), ["a", "b"]);
        assert_eq!(read("{}"), Err(ParseBundleError::KeysMissing));
        assert!(matches!(read("[]"), Err(ParseBundleError::Malformed { .. })));
    }
}
