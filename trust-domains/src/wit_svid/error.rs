//! Why a WIT-SVID is not believed, whoever shows it.

use crate::jws::{Excerpt, JwsAlgorithm, JwsError};
use crate::problem::{Code, Coded};
use crate::token_svid::TokenSvidError;

/// Why a WIT-SVID is not believed. No variant holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitSvidError {
    /// It has `aud`, which no WIT-SVID has (WIT-14); and who takes no audience for its own refuses one (RFC 7519 section 4.1.3).
    #[error("the token has an audience (aud); that of a WIT-SVID stands in its proof")]
    AudiencePresent,
    /// `cnf.jwk.alg` is missing or none of the nine (WIT-08).
    #[error("the algorithm {algorithm} of the token's key (cnf.jwk.alg) is none of the nine (RS, ES or PS with 256, 384 or 512)")]
    ConfirmationAlgorithm {
        /// What it says; an empty text where there is none.
        algorithm: Excerpt,
    },
    /// `cnf` names a second key (RFC 7800 section 3.1).
    #[error("the token is bound to more than one key (cnf)")]
    ConfirmationAmbiguous,
    /// The key is incomplete, or not one for its algorithm.
    #[error("the token's key (cnf.jwk) is not one for {algorithm}")]
    ConfirmationMismatch {
        /// What it says that it is for.
        algorithm: JwsAlgorithm,
    },
    /// `cnf` or `cnf.jwk` is missing (WIT-07).
    #[error("the token is bound to no key (cnf.jwk)")]
    ConfirmationMissing,
    /// `cnf.jwk` has a private or secret part.
    #[error("the token holds a secret key (cnf.jwk)")]
    ConfirmationSecret,
    /// It would not be believed as any token SVID.
    #[error(transparent)]
    Token(#[from] TokenSvidError),
}

impl From<JwsError> for WitSvidError {
    fn from(error: JwsError) -> Self {
        Self::Token(TokenSvidError::Form(error))
    }
}

impl WitSvidError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AudiencePresent => "audience_present",
            Self::ConfirmationAlgorithm { .. } => "confirmation_algorithm",
            Self::ConfirmationAmbiguous => "confirmation_ambiguous",
            Self::ConfirmationMismatch { .. } => "confirmation_mismatch",
            Self::ConfirmationMissing => "confirmation_missing",
            Self::ConfirmationSecret => "confirmation_secret",
            Self::Token(error) => error.reason(),
        }
    }
}

impl Coded for WitSvidError {
    fn code(&self) -> Code {
        Code::WitSvidInvalid
    }
}
