//! The claims of a JWT-SVID that somebody presented.

use serde_json::{Map, Value};

use super::error::JwtSvidError;
use crate::jws::{Claim, JwsError};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::SvidClaims;

/// The claims of a token whose form is right: a subject, an audience and an end.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentedClaims {
    common: SvidClaims,
    audience: Vec<String>,
}

impl PresentedClaims {
    pub(super) fn new(common: SvidClaims) -> Result<Self, JwtSvidError> {
        let audience = audience(common.all())?;
        Ok(Self { common, audience })
    }

    /// Returns `sub`: always a workload's SPIFFE ID, with a path (JWT-07).
    #[must_use]
    pub fn subject(&self) -> &SpiffeId {
        self.common.subject()
    }

    /// Returns `aud`: at least one value.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// Returns `exp`, rounded down to a second.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.common.expires_at()
    }

    /// Returns `iat`, rounded up to a second.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.common.issued_at()
    }

    /// Returns `nbf`, rounded up to a second.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.common.not_before()
    }

    /// Returns every claim as the token has it (JWT-12).
    #[must_use]
    pub fn all(&self) -> &Map<String, Value> {
        self.common.all()
    }
}

/// Reads `aud`, which is a text or a list of texts (RFC 7519 section 4.1.3); both are taken (T7).
fn audience(claims: &Map<String, Value>) -> Result<Vec<String>, JwtSvidError> {
    let malformed = || JwtSvidError::from(JwsError::MalformedClaim { claim: Claim::Aud });
    match claims.get("aud") {
        None => Err(JwtSvidError::AudienceMissing),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(values)) if values.is_empty() => Err(JwtSvidError::AudienceMissing),
        Some(Value::Array(values)) => values.iter().map(|value| value.as_str().map(ToOwned::to_owned).ok_or_else(malformed)).collect(),
        Some(_) => Err(malformed()),
    }
}
