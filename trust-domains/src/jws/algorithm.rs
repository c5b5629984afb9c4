//! The signature algorithms of token SVIDs, and the keys that each of them takes.

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::bundle::PublicJwk;

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// One of the nine algorithms of JWT-SVID section 2.1 (JWT-03) and WIT-SVID sections 2.3 and 3.2 (WIT-04, WIT-08); no other exists here, `none` and the HMACs
/// least of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
}

/// How an algorithm checks a signature.
enum Scheme {
    Ecdsa {
        curve: &'static str,
        /// The octets of a coordinate (RFC 7518 section 6.2.1.2).
        coordinate: usize,
        algorithm: &'static EcdsaVerificationAlgorithm,
    },
    Rsa(&'static RsaParameters),
}

impl JwsAlgorithm {
    /// All of them, in the order of the standard.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// Returns the name in a header (RFC 7518 section 3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// Returns the algorithm of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn scheme(self) -> Scheme {
        let ecdsa = |curve, coordinate, algorithm| Scheme::Ecdsa { curve, coordinate, algorithm };
        match self {
            Self::Rs256 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::Es256 => ecdsa("P-256", 32, &ECDSA_P256_SHA256_FIXED),
            Self::Es384 => ecdsa("P-384", 48, &ECDSA_P384_SHA384_FIXED),
            Self::Es512 => ecdsa("P-521", 66, &ECDSA_P521_SHA512_FIXED),
            Self::Ps256 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA512),
        }
    }

    /// Returns whether the key is one for this algorithm: by type, by curve, and by its own `alg` if it has one (RFC 7517 section 4.4).
    ///
    /// The token names the algorithm and the bundle has the key: without this check the token would choose how a key is read.
    pub(crate) fn fits(self, key: &PublicJwk) -> bool {
        let kind = match self.scheme() {
            Scheme::Ecdsa { curve, .. } => key.key_type() == "EC" && key.member("crv") == Some(curve),
            Scheme::Rsa(_) => key.key_type() == "RSA",
        };
        kind && key.algorithm().is_none_or(|intended| intended == self.name())
    }

    /// Checks a signature; false also for a key that is none.
    pub(crate) fn accepts(self, key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
        match self.scheme() {
            Scheme::Ecdsa { coordinate, algorithm, .. } => {
                point(key, coordinate).is_some_and(|point| UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok())
            }
            Scheme::Rsa(parameters) => {
                let (Some(n), Some(e)) = (number(key, "n"), number(key, "e")) else {
                    return false;
                };
                PublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn number(key: &PublicJwk, member: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(key.member(member)?).ok()
}

/// Returns the uncompressed point of coordinates that each have exactly their length.
fn point(key: &PublicJwk, coordinate: usize) -> Option<Vec<u8>> {
    let mut point = vec![UNCOMPRESSED];
    for member in ["x", "y"] {
        point.extend(number(key, member).filter(|octets| octets.len() == coordinate)?);
    }
    Some(point)
}

#[cfg(test)]
mod tests {

    use conformance::covers;

    use super::*;

    #[covers("JWT-03", "JWT-04")]
    #[test]
    fn there_are_nine_algorithms_and_names_are_exact() {
        for algorithm in JwsAlgorithm::ALL {
            assert_eq!(JwsAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        for other in [
            "none", "None", "", "HS256", "HS384", "HS512", "es256", "ES256K", "EdDSA", "Ed25519", "RS1", "ES256 ",
        ] {
            assert_eq!(JwsAlgorithm::from_name(other), None, "{other}");
        }
    }
}
