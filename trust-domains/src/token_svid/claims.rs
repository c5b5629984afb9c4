//! The claims that a token SVID has whatever its kind, and all others as they are (JWT-12, WIT-14).

use serde_json::{Map, Value};

use super::error::TokenSvidError;
use crate::jws::{Claim, JwsError, Round, object, time};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// The claims of a token whose form is right: a subject and an end.
#[derive(Debug, Clone, PartialEq)]
pub struct SvidClaims {
    subject: SpiffeId,
    expires_at: Timestamp,
    issued_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    all: Map<String, Value>,
}

impl SvidClaims {
    pub(super) fn read(octets: &[u8]) -> Result<Self, TokenSvidError> {
        let all = object(octets).ok_or(JwsError::PayloadUnreadable)?;
        Ok(Self {
            subject: subject(&all)?,
            expires_at: time(&all, Claim::Exp, Round::Down)?.ok_or(JwsError::ExpiryMissing)?,
            issued_at: time(&all, Claim::Iat, Round::Up)?,
            not_before: time(&all, Claim::Nbf, Round::Up)?,
            all,
        })
    }

    /// Returns `sub`: always a workload's SPIFFE ID, with a path (JWT-07, WIT-06).
    #[must_use]
    pub fn subject(&self) -> &SpiffeId {
        &self.subject
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

fn subject(claims: &Map<String, Value>) -> Result<SpiffeId, TokenSvidError> {
    let text = match claims.get("sub") {
        None => return Err(TokenSvidError::SubjectMissing),
        Some(Value::String(text)) => text,
        Some(_) => return Err(JwsError::MalformedClaim { claim: Claim::Sub }.into()),
    };
    let subject = SpiffeId::parse(text.as_bytes()).map_err(|source| TokenSvidError::SubjectInvalid { source })?;
    if subject.path().is_empty() {
        return Err(TokenSvidError::SubjectWithoutPath { subject });
    }
    Ok(subject)
}
