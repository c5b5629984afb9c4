//! The keys of JWT-SVIDs as a JWK Set that any JWT library reads.

use serde::Serialize;

use crate::bundle::{PublicJwk, TrustBundle};

/// A JWK Set (RFC 7517 section 5) for readers that know nothing of SPIFFE.
#[derive(Serialize)]
struct Jwks<'a> {
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    /// The value of the standard (RFC 7517 section 4.2): many libraries pass over keys with the use of SPIFFE bundles.
    #[serde(rename = "use")]
    purpose: &'static str,
    #[serde(flatten)]
    key: &'a PublicJwk,
}

impl TrustBundle {
    /// Returns the keys of JWT-SVIDs as a standard JWK Set, without line breaks; no other key is in it (WAPI-17).
    #[must_use]
    #[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
    pub fn to_jwks(&self) -> String {
        let keys = self.jwt_authorities().iter().map(|key| Key { purpose: "sig", key });
        serde_json::to_string(&Jwks { keys: keys.collect() }).expect("a JWK Set is always JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
}
