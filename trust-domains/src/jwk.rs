//! Public P-256 keys as JSON Web Keys (RFC 7517, RFC 7518 section 6.2) and their thumbprints (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::public_key::{PublicKey, PublicKeyError};

/// The octets of a P-256 coordinate; leading zeros count (RFC 7518 section 6.2.1.2).
const COORDINATE_LEN: usize = 32;

/// The members of a JWK that make a P-256 public key. Others, `use` and `kid` among them, are the bundle's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcJwk {
    /// The key type: `EC`.
    pub kty: String,
    /// The curve: `P-256`.
    pub crv: String,
    /// The X coordinate, base64url without padding.
    pub x: String,
    /// The Y coordinate, base64url without padding.
    pub y: String,
}

impl EcJwk {
    /// Returns the members for a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let coordinates = key.sec1().get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Self {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }

    /// Returns the key.
    ///
    /// # Errors
    /// The type or curve is another, a coordinate is not 32 octets of base64url, or the point is not on the curve.
    pub fn public_key(&self) -> Result<PublicKey, EcJwkError> {
        if self.kty != "EC" || self.crv != "P-256" {
            return Err(EcJwkError::OtherKind {
                kty: self.kty.clone(),
                crv: self.crv.clone(),
            });
        }
        let mut point = vec![0x04];
        point.extend(coordinate("x", &self.x)?);
        point.extend(coordinate("y", &self.y)?);
        PublicKey::from_sec1(&point).map_err(EcJwkError::Point)
    }
}

fn coordinate(member: &'static str, text: &str) -> Result<Vec<u8>, EcJwkError> {
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(octets) if octets.len() == COORDINATE_LEN => Ok(octets),
        _ => Err(EcJwkError::Coordinate { member }),
    }
}

/// Returns the RFC 7638 thumbprint of a key, base64url without padding: SHA-256 over the required members in their order.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> String {
    let EcJwk { kty, crv, x, y } = EcJwk::of(key);
    // The values are words and base64url: nothing in them needs escaping.
    let canonical = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// The JWK is not a P-256 public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EcJwkError {
    /// A coordinate has another form or length.
    #[error("the coordinate {member:?} is not 32 octets of base64url")]
    Coordinate {
        /// `x` or `y`.
        member: &'static str,
    },
    /// Another key type or curve.
    #[error("the key is of type {kty:?} and curve {crv:?}, not EC and P-256")]
    OtherKind {
        /// The key type.
        kty: String,
        /// The curve.
        crv: String,
    },
    /// The point cannot be one.
    #[error("the coordinates are no public key")]
    Point(#[source] PublicKeyError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jwk(x: &str, y: &str) -> EcJwk {
        EcJwk {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: x.to_owned(),
            y: y.to_owned(),
        }
    }

    #[test]
    fn published_keys_have_their_published_thumbprints() {
        // RFC 9449 section 6.1, and the key of RFC 7517 appendix A.1 with its hash taken by another program.
        let table = [
            (
                "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
            (
                "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
                "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
            ),
        ];
        for (x, y, expected) in table {
            let key = jwk(x, y).public_key().unwrap();
            assert_eq!(thumbprint(&key), expected);
            assert_eq!(EcJwk::of(&key), jwk(x, y));
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let good = jwk("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        let rsa = EcJwk {
            kty: "RSA".to_owned(),
            ..good.clone()
        };
        assert!(matches!(rsa.public_key(), Err(EcJwkError::OtherKind { .. })));
        let k256 = EcJwk {
            crv: "secp256k1".to_owned(),
            ..good.clone()
        };
        assert!(matches!(k256.public_key(), Err(EcJwkError::OtherKind { .. })));
        assert_eq!(jwk(&good.y, &good.x).public_key(), Err(EcJwkError::Point(PublicKeyError::NotOnCurve)));
        for bad in [
            "",
            "AA",
            &format!("{}=", good.x),
            &format!("{}A", good.x),
            "+/tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        ] {
            assert_eq!(jwk(bad, &good.y).public_key(), Err(EcJwkError::Coordinate { member: "x" }), "{bad}");
            assert_eq!(jwk(&good.x, bad).public_key(), Err(EcJwkError::Coordinate { member: "y" }), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back_from_its_jwk(secret in proptest::array::uniform32(any::<u8>())) {
            use p256::elliptic_curve::sec1::ToSec1Point as _;
            let Ok(secret) = p256::SecretKey::from_slice(&secret) else { return Ok(()) };
            let key = PublicKey::from_sec1(secret.public_key().to_sec1_point(false).as_bytes()).unwrap();
            let written = EcJwk::of(&key);
            prop_assert_eq!((written.x.len(), written.y.len()), (43, 43));
            prop_assert_eq!(written.public_key(), Ok(key));
        }
    }
}
