//! Why a token SVID is not believed, whatever its kind.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jws::{Excerpt, JwsAlgorithm, JwsError};
use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// A kind of token SVID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// A JWT-SVID.
    #[default]
    Jwt,
    /// A WIT-SVID.
    Wit,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jwt => "JWT",
            Self::Wit => "WIT",
        })
    }
}

/// Why a token SVID is not believed. No variant holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSvidError {
    /// The end has passed (JWT-10, WIT-10).
    #[error("the token of {subject} ended at {expired_at}, it is {now}")]
    Expired {
        /// Whose it is.
        subject: SpiffeId,
        /// When it ended.
        expired_at: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// It is not a token of its kind.
    #[error(transparent)]
    Form(#[from] JwsError),
    /// The header has no `kid`, or an empty one (JWT-05, WIT-02).
    #[error("the token's header has no key ID (kid)")]
    KeyIdMissing,
    /// The bundle's key of this ID is not one for the algorithm.
    #[error("the key {key_id} of {trust_domain} is not one for {algorithm}")]
    KeyMismatch {
        /// The key ID.
        key_id: Excerpt,
        /// Whose bundle it is.
        trust_domain: TrustDomain,
        /// What the header says.
        algorithm: JwsAlgorithm,
    },
    /// The bundle has no key for such tokens with this ID (JWT-15, WIT-23).
    #[error("the bundle of {trust_domain} has no {kind} key {key_id}")]
    KeyUnknown {
        /// The key ID.
        key_id: Excerpt,
        /// What it would sign.
        kind: TokenKind,
        /// Whose bundle was asked.
        trust_domain: TrustDomain,
    },
    /// There is no bundle of the subject's trust domain: nothing of it is trusted.
    #[error("there is no bundle of {trust_domain}, the trust domain of the token's subject")]
    NoBundle {
        /// The subject's trust domain.
        trust_domain: TrustDomain,
    },
    /// `nbf` is in the future.
    #[error("the token of {subject} begins at {not_before}, it is {now}; compare the clocks")]
    NotYetValid {
        /// Whose it is.
        subject: SpiffeId,
        /// When it begins.
        not_before: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// The signature is not one of the key over this token.
    #[error("the signature of the token is not one of the key {key_id} of {trust_domain}")]
    SignatureInvalid {
        /// The key ID.
        key_id: Excerpt,
        /// Whose key it is.
        trust_domain: TrustDomain,
    },
    /// `sub` is not a SPIFFE ID (JWT-07, WIT-06).
    #[error("the token's subject is not a SPIFFE ID")]
    SubjectInvalid {
        /// What is wrong with it.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// `sub` is missing (JWT-07, WIT-06).
    #[error("the token has no subject (sub)")]
    SubjectMissing,
    /// `sub` is the ID of a trust domain, not of a workload (JWT-07, WIT-06).
    #[error("the token's subject {subject} is a trust domain, not a workload")]
    SubjectWithoutPath {
        /// The subject.
        subject: SpiffeId,
    },
    /// The bundle given is not that of the subject's trust domain: bundles are never pooled (BUN-10).
    #[error("{subject} is not of trust domain {bundle}")]
    WrongTrustDomain {
        /// The bundle's trust domain.
        bundle: TrustDomain,
        /// The subject.
        subject: SpiffeId,
    },
}

impl TokenSvidError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::Form(error) => error.reason(),
            Self::KeyIdMissing => "key_id_missing",
            Self::KeyMismatch { .. } => "key_mismatch",
            Self::KeyUnknown { .. } => "key_unknown",
            Self::NoBundle { .. } => "no_bundle",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::SignatureInvalid { .. } => "signature_invalid",
            Self::SubjectInvalid { .. } => "subject_invalid",
            Self::SubjectMissing => "subject_missing",
            Self::SubjectWithoutPath { .. } => "subject_without_path",
            Self::WrongTrustDomain { .. } => "wrong_trust_domain",
        }
    }
}
