//! Why a token is not believed.

use crate::jws::{Excerpt, JwsError};
use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenSvidError;

/// Why a token is not believed. No variant holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtSvidError {
    /// `aud` is missing or empty (JWT-09).
    #[error("the token has no audience")]
    AudienceMissing,
    /// `aud` does not have the validator's own value (JWT-09).
    #[error("the token is not for {expected}: it is for {presented:?}")]
    AudienceOther {
        /// What the validator is.
        expected: Excerpt,
        /// Whom the token is for: the first few values.
        presented: Vec<Excerpt>,
    },
    /// `iat` is in the future: nobody can have issued it yet.
    #[error("the token of {subject} says that it was issued at {issued_at}, it is {now}; compare the clocks")]
    IssuedInTheFuture {
        /// Whose it is.
        subject: SpiffeId,
        /// When it says that it was issued.
        issued_at: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// It would not be believed as any token SVID.
    #[error(transparent)]
    Token(#[from] TokenSvidError),
}

impl From<JwsError> for JwtSvidError {
    fn from(error: JwsError) -> Self {
        Self::Token(TokenSvidError::Form(error))
    }
}

impl JwtSvidError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AudienceMissing => "audience_missing",
            Self::AudienceOther { .. } => "audience_other",
            Self::IssuedInTheFuture { .. } => "issued_in_the_future",
            Self::Token(error) => error.reason(),
        }
    }
}

impl Coded for JwtSvidError {
    fn code(&self) -> Code {
        Code::JwtSvidInvalid
    }
}
