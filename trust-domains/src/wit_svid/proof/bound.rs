//! The other tokens of a request, which its proof names by their hashes: none can be taken off, put on or exchanged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::ProofError;
use super::token_hash;
use crate::jws::{Claim, JwsError};

/// The hashes of the tokens that travel with a WIT-SVID: none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BoundTokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tth: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    oth: BTreeMap<String, String>,
}

impl BoundTokens {
    /// Adds the OAuth access token of the request.
    #[must_use]
    pub fn with_access_token(mut self, token: &str) -> Self {
        self.ath = Some(token_hash(token));
        self
    }

    /// Adds the transaction token of the request.
    #[must_use]
    pub fn with_transaction_token(mut self, token: &str) -> Self {
        self.tth = Some(token_hash(token));
        self
    }

    /// Adds another header field that says who the user is or what the request may do: its name in any case, its value without spaces around it.
    ///
    /// # Errors
    /// The field is there already: one that occurs twice cannot be bound.
    pub fn with_other(mut self, name: &str, value: &str) -> Result<Self, OtherTokenRepeated> {
        match self.oth.insert(name.to_ascii_lowercase(), token_hash(value.trim_matches(' '))) {
            None => Ok(self),
            Some(_) => Err(OtherTokenRepeated { name: name.to_owned() }),
        }
    }

    pub(super) fn read(claims: &Map<String, Value>) -> Result<Self, JwsError> {
        Ok(Self {
            ath: text(claims, Claim::Ath)?,
            tth: text(claims, Claim::Tth)?,
            oth: others(claims)?,
        })
    }

    /// Compares what a proof names with what the request has. Both ways: the proof was made for these tokens, and for no more and no fewer.
    pub(super) fn check(&self, expected: &Self) -> Result<(), ProofError> {
        let pairs = [
            (Claim::Ath, self.ath == expected.ath),
            (Claim::Tth, self.tth == expected.tth),
            (Claim::Oth, self.oth == expected.oth),
        ];
        match pairs.into_iter().find(|(_, is_equal)| !is_equal) {
            Some((claim, _)) => Err(ProofError::BoundOther { claim }),
            None => Ok(()),
        }
    }
}

fn text(claims: &Map<String, Value>, claim: Claim) -> Result<Option<String>, JwsError> {
    match claims.get(claim.name()) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwsError::MalformedClaim { claim }),
    }
}

fn others(claims: &Map<String, Value>) -> Result<BTreeMap<String, String>, JwsError> {
    let malformed = || JwsError::MalformedClaim { claim: Claim::Oth };
    let Some(value) = claims.get(Claim::Oth.name()) else {
        return Ok(BTreeMap::new());
    };
    let hashes = value.as_object().ok_or_else(malformed)?.iter();
    hashes
        .map(|(name, hash)| Ok((name.clone(), hash.as_str().ok_or_else(malformed)?.to_owned())))
        .collect()
}

/// A header field is there twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header field {name:?} is bound twice")]
pub struct OtherTokenRepeated {
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_lower_case_and_a_field_is_bound_once() {
        let bound = BoundTokens::default().with_other("X-User", "  token ").unwrap();
        assert_eq!(bound, BoundTokens::default().with_other("x-user", "token").unwrap());
        assert!(bound.clone().with_other("x-USER", "other").is_err());
        assert_eq!(
            serde_json::to_value(&bound).unwrap(),
            serde_json::json!({ "oth": { "x-user": token_hash("token") } })
        );
        // RFC 9449 section 4.2 has this token with this hash.
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        let ath = serde_json::json!({ "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" });
        assert_eq!(serde_json::to_value(BoundTokens::default().with_access_token(token)).unwrap(), ath);
    }
}
