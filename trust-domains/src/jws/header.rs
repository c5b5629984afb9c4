//! The JOSE header of a token: looked at before anything else of it (JWT-04, WIT-04).

use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use super::error::JwsError;
use super::excerpt::Excerpt;
use super::json;

/// What `typ` must be. The types of one kind of token are never those of another: none of them passes for what it is not.
pub(crate) struct Types {
    /// The values, exactly.
    pub(crate) values: &'static [&'static str],
    /// Whether it may be left out.
    pub(crate) optional: bool,
    /// What such a token is, for people.
    pub(crate) described: &'static str,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: JwsAlgorithm,
    /// `kid`, if it is a text with something in it.
    pub(crate) key_id: Option<String>,
}

impl Header {
    /// Reads a header.
    ///
    /// Parameters other than `alg`, `typ`, `crit` and `kid` are not looked at (WIT-05), `jku`, `jwk` and `x5c` among them: keys come from where the
    /// kind of token says, and from nowhere else.
    pub(crate) fn read(octets: &[u8], types: &Types) -> Result<Self, JwsError> {
        let members = json::object(octets).ok_or(JwsError::HeaderUnreadable)?;
        let algorithm = algorithm(&members)?;
        match members.get("typ") {
            None if types.optional => {}
            Some(Value::String(typ)) if types.values.contains(&typ.as_str()) => {}
            typ => {
                return Err(JwsError::WrongType {
                    typ: typ.map_or_else(|| Excerpt::of(""), Excerpt::of_value),
                    expected: types.described,
                });
            }
        }
        // An extension that must be understood, and none is (RFC 7515 section 4.1.11).
        if members.contains_key("crit") {
            return Err(JwsError::CriticalExtension);
        }
        let key_id = members.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty());
        Ok(Self {
            algorithm,
            key_id: key_id.map(ToOwned::to_owned),
        })
    }
}

fn algorithm(members: &Map<String, Value>) -> Result<JwsAlgorithm, JwsError> {
    let unsupported = || JwsError::UnsupportedAlgorithm {
        algorithm: members.get("alg").map_or_else(|| Excerpt::of(""), Excerpt::of_value),
    };
    members
        .get("alg")
        .and_then(Value::as_str)
        .and_then(JwsAlgorithm::from_name)
        .ok_or_else(unsupported)
}
