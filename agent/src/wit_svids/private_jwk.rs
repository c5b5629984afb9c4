//! A private key as a JSON Web Key, the form in which the Workload API hands out the keys of WIT-SVIDs (T10).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trust_domains::jwk::EcJwk;
use zeroize::Zeroizing;

use crate::node::{KeyError, KeyPair};

/// Room for the whole text from the start: a text that grows leaves copies of the key behind.
const ROOM: usize = 256;

/// A private P-256 key as a JWK (RFC 7517, RFC 7518 section 6.2.2), with `alg`. It is wiped on drop and never shown by `Debug`.
pub struct PrivateJwk(Zeroizing<String>);

impl PrivateJwk {
    /// Writes a key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn of(pair: &KeyPair) -> Result<Self, KeyError> {
        let EcJwk { kty, crv, x, y } = EcJwk::of(pair.public());
        let scalar = Zeroizing::new(URL_SAFE_NO_PAD.encode(pair.scalar()?.as_ref()));
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        // The values are words and base64url: nothing in them needs escaping.
        let members = [("kty", kty.as_str()), ("crv", &crv), ("alg", "ES256"), ("x", &x), ("y", &y), ("d", &scalar)];
        for (position, (name, value)) in members.into_iter().enumerate() {
            text.push_str(if position == 0 { "{\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":\"");
            text.push_str(value);
            text.push('"');
        }
        text.push('}');
        Ok(Self(text))
    }

    /// Shows the key, to whoever hands it out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateJwk(..)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_has_the_members_of_its_kind_and_reads_back_as_the_same_key() {
        for _ in 0..64 {
            let pair = KeyPair::generate().unwrap();
            let written = PrivateJwk::of(&pair).unwrap();
            assert!(written.expose().len() <= ROOM, "it never grew");
            let jwk: Value = serde_json::from_str(written.expose()).unwrap();
            let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
            assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&"EC".into(), &"P-256".into(), &"ES256".into()));
            assert_eq!(jwk.as_object().unwrap().len(), 6);
            let point = [vec![4], member("x"), member("y")].concat();
            assert_eq!(point, pair.public().sec1());
            assert_eq!(member("d").len(), 32, "leading zeros count");
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &member("d"), &point).unwrap();
        }
    }

    #[test]
    fn the_key_is_in_no_debug_text() {
        let jwk = PrivateJwk::of(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(format!("{jwk:?}"), "PrivateJwk(..)");
    }
}
