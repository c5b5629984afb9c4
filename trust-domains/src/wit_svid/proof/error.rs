//! Why a proof of possession is not accepted.

use crate::jws::{Claim, Excerpt, JwsAlgorithm, JwsError};
use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;

/// Why a proof of possession is not accepted. No variant holds the proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It is made with another algorithm than the WIT says (`cnf.jwk.alg`).
    #[error("the proof is made with {presented}, the WIT-SVID says {expected}")]
    AlgorithmOther {
        /// What the WIT says.
        expected: JwsAlgorithm,
        /// What the proof's header says.
        presented: JwsAlgorithm,
    },
    /// `aud` is missing or empty.
    #[error("the proof is for nobody (aud)")]
    AudienceMissing,
    /// It is for somebody else.
    #[error("the proof is for {presented}, not for this recipient")]
    AudienceOther {
        /// Whom it is for.
        presented: Excerpt,
    },
    /// It names other tokens than the request has, or lacks one that it has.
    #[error("the proof was not made for the tokens of this request ({claim})")]
    BoundOther {
        /// In which claim.
        claim: Claim,
    },
    /// The end has passed.
    #[error("the proof ended at {expired_at}, it is {now}")]
    Expired {
        /// When it ended.
        expired_at: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// It is no proof.
    #[error(transparent)]
    Form(#[from] JwsError),
    /// `jti` is missing, empty or longer than 256 bytes.
    #[error("the proof has no id of its own (jti)")]
    IdMissing,
    /// It is good for longer than a proof may be.
    #[error("the proof is good until {expires_at}; at most {latest} is accepted")]
    LivesTooLong {
        /// When it ends.
        expires_at: Timestamp,
        /// The latest end that is accepted.
        latest: Timestamp,
    },
    /// `nbf` is in the future.
    #[error("the proof begins at {not_before}, it is {now}; compare the clocks")]
    NotYetValid {
        /// When it begins.
        not_before: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// It is not signed by the key that the WIT is bound to.
    #[error("the proof is not signed by the key of the WIT-SVID")]
    SignatureInvalid,
    /// `wth` is missing, or is the hash of another token.
    #[error("the proof is not for this WIT-SVID (wth)")]
    TokenOther,
}

impl ProofError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AlgorithmOther { .. } => "algorithm_other",
            Self::AudienceMissing => "audience_missing",
            Self::AudienceOther { .. } => "audience_other",
            Self::BoundOther { .. } => "bound_other",
            Self::Expired { .. } => "expired",
            Self::Form(error) => error.reason(),
            Self::IdMissing => "id_missing",
            Self::LivesTooLong { .. } => "lives_too_long",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::SignatureInvalid => "signature_invalid",
            Self::TokenOther => "token_other",
        }
    }
}

impl Coded for ProofError {
    fn code(&self) -> Code {
        Code::WitSvidInvalid
    }
}
