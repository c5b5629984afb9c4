//! The token keys of a bundle as plain JWK Sets (RFC 7517 section 5): those of JWT-SVIDs or those of WIT-SVIDs, never both.

use serde::Serialize;
use serde_json::Value;

use crate::bundle::json::{USE_JWT, USE_WIT};
use crate::bundle::parse::{MAX_BUNDLE_BYTES, ParseBundleError, TokenUse};
use crate::bundle::raw::{RawDocument, RawKey};
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
    pub fn with_jwks(self, document: &[u8]) -> Result<Self, ParseBundleError> {
        self.with_key_set(document, TokenUse::Jwt, |purpose| purpose == USE_SIGNATURE || purpose == USE_JWT)
    }

    /// Adds the WIT keys of a plain JWK Set, as the Workload API sends it: those that name no use, or `wit-svid`. Others are passed over.
    ///
    /// # Errors
    ///
    /// When the document as a whole is no key set.
    pub fn with_wit_jwks(self, document: &[u8]) -> Result<Self, ParseBundleError> {
        self.with_key_set(document, TokenUse::Wit, |purpose| purpose == USE_WIT)
    }

    fn with_key_set(mut self, document: &[u8], tokens: TokenUse, is_meant: fn(&Value) -> bool) -> Result<Self, ParseBundleError> {
        if document.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLarge {
                limit: MAX_BUNDLE_BYTES,
                actual: document.len(),
            });
        }
        let keys = RawDocument::read(document)?.take_keys()?;
        for jwk in keys.iter().filter_map(|RawKey(key)| key.as_ref().ok()) {
            if jwk.get("use").is_none_or(is_meant) {
                // One that is not understood, or has an ID that another has, does not cost the others (BUN-06).
                let _skipped = self.take_token_key(tokens, jwk);
            }
        }
        Ok(self)
    }

    /// Returns the keys of JWT-SVIDs, and no others, as a JWK Set for relying parties that know nothing of SPIFFE, without line breaks.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        key_set(&self.jwt_authorities, Some(USE_SIGNATURE))
    }

    /// Returns the keys of JWT-SVIDs, and no others (WAPI-17), as the Workload API sends them: a JWK Set without line breaks.
    ///
    /// It has no `use`: that of the SPIFFE bundle, `jwt-svid`, stops common JWT libraries, which know `sig` only (T6), and all keys here are for one use.
    #[must_use]
    pub fn to_workload_jwks(&self) -> String {
        key_set(&self.jwt_authorities, None)
    }

    /// Returns the keys of WIT-SVIDs, and no others (WAPI-22), as the Workload API sends them: a JWK Set without line breaks.
    ///
    /// Each says its `use`, `wit-svid` (WIT-22), so that a common JWT library that gets hold of the set takes none of them for a key of JWTs.
    #[must_use]
    pub fn to_wit_jwks(&self) -> String {
        key_set(&self.wit_authorities, Some(USE_WIT))
    }
}

#[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
fn key_set(keys: &[PublicJwk], purpose: Option<&'static str>) -> String {
    let keys = keys.iter().map(|key| Key { purpose, key });
    serde_json::to_string(&KeySet { keys: keys.collect() }).expect("a key set is always JSON")
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

    #[covers("WAPI-22", "WIT-22", "WIT-23")]
    #[test]
    fn wapi_22_a_wit_key_set_has_the_wit_keys_alone_each_with_its_own_id_and_use() {
        let key = |purpose: &str, kid: &str| {
            json!({ "use": purpose, "kid": kid, "kty": "EC", "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
        };
        let keys = json!([
            key("wit-svid", "a"),
            key("jwt-svid", "b"),
            key("wit-svid", "b"),
            key("wit-svid", "a"),
            key("wit-svid", "c")
        ]);
        let bundle = TrustBundle::parse_spiffe_json(&"td".parse().unwrap(), json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let expected = json!({ "keys": [key("wit-svid", "a"), key("wit-svid", "c")] });
        assert_eq!(serde_json::from_str::<Value>(&bundle.to_wit_jwks()).unwrap(), expected);
        assert_eq!(TrustBundle::new("td".parse().unwrap()).to_wit_jwks(), r#"{"keys":[]}"#);

        let read = |document: &str| TrustBundle::new("td".parse().unwrap()).with_wit_jwks(document.as_bytes()).unwrap();
        assert_eq!(read(&bundle.to_wit_jwks()).wit_authorities(), bundle.wit_authorities());
        let mut plain = key("", "d");
        plain.as_object_mut().unwrap().remove("use");
        let mixed = json!({ "keys": [plain, key("sig", "e"), key("jwt-svid", "f"), key("wit-svid", "g")] }).to_string();
        let kids: Vec<_> = read(&mixed).wit_authorities().iter().map(|key| key.key_id().unwrap().to_owned()).collect();
        assert_eq!((kids, read(&mixed).jwt_authorities().len()), (vec!["d".to_owned(), "g".to_owned()], 0));
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
