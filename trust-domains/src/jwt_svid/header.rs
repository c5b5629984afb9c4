//! The JOSE header of a JWT-SVID: looked at before anything else of the token (JWT-04).

use serde_json::{Map, Value};

use super::algorithm::JwtAlgorithm;
use super::error::{Excerpt, JwtSvidError};
use super::json;

/// The values of `typ` that a JWT-SVID may have (JWT-06). A WIT-SVID has `wit+jwt`: without its proof of possession it must pass for nothing.
const TYPES: [&str; 2] = ["JWT", "JOSE"];

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) algorithm: JwtAlgorithm,
    pub(super) key_id: String,
}

impl Header {
    /// Reads a header.
    ///
    /// Parameters other than `alg`, `typ`, `crit` and `kid` are not looked at, `jku`, `jwk` and `x5c` among them: keys come from bundles only.
    pub(super) fn read(octets: &[u8]) -> Result<Self, JwtSvidError> {
        let members = json::object(octets).ok_or(JwtSvidError::HeaderUnreadable)?;
        let algorithm = algorithm(&members)?;
        match members.get("typ") {
            None => {}
            Some(Value::String(typ)) if TYPES.contains(&typ.as_str()) => {}
            Some(typ) => {
                return Err(JwtSvidError::WrongType { typ: Excerpt::of_value(typ) });
            }
        }
        // An extension that must be understood, and none is (RFC 7515 section 4.1.11).
        if members.contains_key("crit") {
            return Err(JwtSvidError::CriticalExtension);
        }
        let key_id = match members.get("kid") {
            Some(Value::String(kid)) if !kid.is_empty() => kid.clone(),
            _ => return Err(JwtSvidError::KeyIdMissing),
        };
        Ok(Self { algorithm, key_id })
    }
}

fn algorithm(members: &Map<String, Value>) -> Result<JwtAlgorithm, JwtSvidError> {
    let unsupported = || JwtSvidError::UnsupportedAlgorithm {
        algorithm: members.get("alg").map_or_else(|| Excerpt::of(""), Excerpt::of_value),
    };
    members
        .get("alg")
        .and_then(Value::as_str)
        .and_then(JwtAlgorithm::from_name)
        .ok_or_else(unsupported)
}
