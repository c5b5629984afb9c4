//! The key that a WIT-SVID is bound to: `cnf.jwk` (RFC 7800 section 3.2, WIT-SVID section 3.2).

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::WitSvidError;
use crate::bundle::PublicJwk;
use crate::jwk::EcJwk;
use crate::jws::{Claim, Excerpt, JwsAlgorithm, JwsError};
use crate::public_key::PublicKey;

/// Other ways to name a key (RFC 7800 section 3.1): beside `jwk` they would make it two, and each reader could take another.
const OTHER_KEYS: [&str; 2] = ["jku", "jwe"];

/// Members that only a private or a secret key has (RFC 7518 section 6): whoever reads the token could speak for the workload.
const SECRETS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// A public key with the one algorithm that its proofs are made with: always one of the nine, and one that fits the key (WIT-08).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfirmationKey {
    jwk: PublicJwk,
    #[serde(skip)]
    algorithm: JwsAlgorithm,
}

impl ConfirmationKey {
    /// Returns the form of a P-256 key.
    #[must_use]
    pub fn es256(key: &PublicKey) -> Self {
        Self {
            jwk: PublicJwk::es256_without_id(key),
            algorithm: JwsAlgorithm::Es256,
        }
    }

    /// Reads `cnf` (WIT-07).
    pub(super) fn read(claims: &Map<String, Value>) -> Result<Self, WitSvidError> {
        let malformed = || JwsError::MalformedClaim { claim: Claim::Cnf };
        let cnf = claims.get("cnf").ok_or(WitSvidError::ConfirmationMissing)?.as_object().ok_or_else(malformed)?;
        let jwk = cnf.get("jwk").ok_or(WitSvidError::ConfirmationMissing)?.as_object().ok_or_else(malformed)?;
        if OTHER_KEYS.iter().any(|name| cnf.contains_key(*name)) {
            return Err(WitSvidError::ConfirmationAmbiguous);
        }
        if SECRETS.iter().any(|name| jwk.contains_key(*name)) {
            return Err(WitSvidError::ConfirmationSecret);
        }
        let name = jwk.get("alg");
        let algorithm = name.and_then(Value::as_str).and_then(JwsAlgorithm::from_name);
        let algorithm = algorithm.ok_or_else(|| WitSvidError::ConfirmationAlgorithm {
            algorithm: name.map_or_else(|| Excerpt::of(""), Excerpt::of_value),
        })?;
        match PublicJwk::of_object(jwk).filter(|jwk| algorithm.fits(jwk)) {
            Some(jwk) => Ok(Self { jwk, algorithm }),
            None => Err(WitSvidError::ConfirmationMismatch { algorithm }),
        }
    }

    /// Returns the algorithm of its proofs.
    #[must_use]
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// Returns whether it is this key.
    #[must_use]
    pub fn is(&self, key: &PublicKey) -> bool {
        let EcJwk { kty, crv, x, y } = EcJwk::of(key);
        let member = |name| self.jwk.member(name);
        (self.jwk.key_type(), member("crv"), member("x"), member("y")) == (&*kty, Some(&*crv), Some(&*x), Some(&*y))
    }

    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.algorithm.accepts(&self.jwk, message, signature)
    }
}
