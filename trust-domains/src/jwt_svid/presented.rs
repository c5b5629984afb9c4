//! The claims of a JWT-SVID that somebody presented: those that the standard gives a meaning, and all others as they are (JWT-12).

use serde_json::{Map, Value};

use super::error::{Claim, JwtSvidError};
use super::json;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// The claims of a token whose form is right: a subject, an audience and an end.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentedClaims {
    subject: SpiffeId,
    audience: Vec<String>,
    expires_at: Timestamp,
    issued_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    all: Map<String, Value>,
}

impl PresentedClaims {
    pub(super) fn read(octets: &[u8]) -> Result<Self, JwtSvidError> {
        let all = json::object(octets).ok_or(JwtSvidError::PayloadUnreadable)?;
        Ok(Self {
            subject: subject(&all)?,
            audience: audience(&all)?,
            expires_at: time(&all, Claim::Exp, Round::Down)?.ok_or(JwtSvidError::ExpiryMissing)?,
            issued_at: time(&all, Claim::Iat, Round::Up)?,
            not_before: time(&all, Claim::Nbf, Round::Up)?,
            all,
        })
    }

    /// Returns `sub`: always a workload's SPIFFE ID, with a path (JWT-07).
    #[must_use]
    pub fn subject(&self) -> &SpiffeId {
        &self.subject
    }

    /// Returns `aud`: at least one value.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// Returns `exp`, rounded down to a second.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns `iat`, rounded up to a second.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// Returns `nbf`, rounded up to a second.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Returns every claim as the token has it.
    #[must_use]
    pub fn all(&self) -> &Map<String, Value> {
        &self.all
    }
}

fn subject(claims: &Map<String, Value>) -> Result<SpiffeId, JwtSvidError> {
    let text = match claims.get("sub") {
        None => return Err(JwtSvidError::SubjectMissing),
        Some(Value::String(text)) => text,
        Some(_) => return Err(JwtSvidError::MalformedClaim { claim: Claim::Sub }),
    };
    let subject = SpiffeId::parse(text.as_bytes()).map_err(|source| JwtSvidError::SubjectInvalid { source })?;
    if subject.path().is_empty() {
        return Err(JwtSvidError::SubjectWithoutPath { subject });
    }
    Ok(subject)
}

/// Reads `aud`, which is a text or a list of texts (RFC 7519 section 4.1.3); both are taken (T7).
fn audience(claims: &Map<String, Value>) -> Result<Vec<String>, JwtSvidError> {
    let malformed = || JwtSvidError::MalformedClaim { claim: Claim::Aud };
    match claims.get("aud") {
        None => Err(JwtSvidError::AudienceMissing),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(values)) if values.is_empty() => Err(JwtSvidError::AudienceMissing),
        Some(Value::Array(values)) => values.iter().map(|value| value.as_str().map(ToOwned::to_owned).ok_or_else(malformed)).collect(),
        Some(_) => Err(malformed()),
    }
}

/// Which way the fraction of a second goes: a token never lives longer for it.
#[derive(Clone, Copy)]
enum Round {
    Down,
    Up,
}

/// Reads a NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction. What no [`Timestamp`] can be becomes the nearest.
fn time(claims: &Map<String, Value>, claim: Claim, round: Round) -> Result<Option<Timestamp>, JwtSvidError> {
    let Some(value) = claims.get(claim.name()) else { return Ok(None) };
    let Value::Number(number) = value else {
        return Err(JwtSvidError::MalformedClaim { claim });
    };
    if let Some(seconds) = number.as_i64() {
        return Ok(Some(Timestamp::from_unix(seconds)));
    }
    let seconds = number.as_f64().unwrap_or(f64::MAX);
    let whole = match round {
        Round::Down => seconds.floor(),
        Round::Up => seconds.ceil(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates, as Timestamp does")]
    let whole = whole as i64;
    Ok(Some(Timestamp::from_unix(whole)))
}
