//! Why a token is not believed.

use std::fmt;

use serde_json::Value;

use super::algorithm::JwtAlgorithm;
use crate::problem::{Code, Coded};
use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// A claim that has a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The audience.
    Aud,
    /// The end.
    Exp,
    /// The moment of issue.
    Iat,
    /// The beginning.
    Nbf,
    /// The subject.
    Sub,
}

impl Claim {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aud => "aud",
            Self::Exp => "exp",
            Self::Iat => "iat",
            Self::Nbf => "nbf",
            Self::Sub => "sub",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A short piece of what a token says, safe to show: a header parameter or one audience, never a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The most characters that are kept.
    const LONGEST: usize = 64;

    pub(super) fn of(text: &str) -> Self {
        let mut kept: String = text.chars().take(Self::LONGEST).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        Self(kept)
    }

    /// Returns a text as it is; of another value only what kind it is.
    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::of(text),
            Value::Null => Self::of("null"),
            Value::Bool(_) => Self::of("a boolean"),
            Value::Number(_) => Self::of("a number"),
            Value::Array(_) => Self::of("an array"),
            Value::Object(_) => Self::of("an object"),
        }
    }
}

impl fmt::Display for Excerpt {
    /// Writes it in quotes, with what could play with a terminal escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

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
    /// The header has `crit` (RFC 7515 section 4.1.11).
    #[error("the token's header demands an extension (crit); JWT-SVID has none")]
    CriticalExtension,
    /// The end has passed (JWT-10).
    #[error("the token of {subject} ended at {expired_at}, it is {now}")]
    Expired {
        /// Whose it is.
        subject: SpiffeId,
        /// When it ended.
        expired_at: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// `exp` is missing (JWT-10).
    #[error("the token has no end (exp)")]
    ExpiryMissing,
    /// The header is not base64url of a JSON object that names each member once.
    #[error("the token's header is not a JSON object in base64url that names each member once")]
    HeaderUnreadable,
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
    /// The header has no `kid`, or an empty one (JWT-05).
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
        algorithm: JwtAlgorithm,
    },
    /// The bundle has no JWT key of this ID (JWT-15).
    #[error("the bundle of {trust_domain} has no JWT key {key_id}")]
    KeyUnknown {
        /// The key ID.
        key_id: Excerpt,
        /// Whose bundle was asked.
        trust_domain: TrustDomain,
    },
    /// A claim has another type than the standard gives it.
    #[error("the token's claim {claim} has the wrong type")]
    MalformedClaim {
        /// Which.
        claim: Claim,
    },
    /// There is no bundle of the subject's trust domain: nothing of it is trusted.
    #[error("there is no bundle of {trust_domain}, the trust domain of the token's subject")]
    NoBundle {
        /// The subject's trust domain.
        trust_domain: TrustDomain,
    },
    /// It is not three parts joined by dots (JWT-01).
    #[error("the token is not a JWS in compact form: three parts joined by dots")]
    NotCompact,
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
    /// The payload is not base64url of a JSON object that names each member once.
    #[error("the token's payload is not a JSON object in base64url that names each member once")]
    PayloadUnreadable,
    /// The signature is not one of the key over this token.
    #[error("the signature of the token is not one of the key {key_id} of {trust_domain}")]
    SignatureInvalid {
        /// The key ID.
        key_id: Excerpt,
        /// Whose key it is.
        trust_domain: TrustDomain,
    },
    /// The signature is not base64url.
    #[error("the token's signature is not base64url")]
    SignatureUnreadable,
    /// `sub` is not a SPIFFE ID (JWT-07).
    #[error("the token's subject is not a SPIFFE ID")]
    SubjectInvalid {
        /// What is wrong with it.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// `sub` is missing (JWT-07).
    #[error("the token has no subject (sub)")]
    SubjectMissing,
    /// `sub` is the ID of a trust domain, not of a workload (JWT-07).
    #[error("the token's subject {subject} is a trust domain, not a workload")]
    SubjectWithoutPath {
        /// The subject.
        subject: SpiffeId,
    },
    /// The token is longer than [`super::MAX_JWT_SVID_BYTES`].
    #[error("the token has {actual} bytes, at most {limit} are read")]
    TooLong {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// `alg` is none of the nine (JWT-04).
    #[error("the token's algorithm {algorithm} is none of the nine of JWT-SVID (RS, ES or PS with 256, 384 or 512)")]
    UnsupportedAlgorithm {
        /// What the header says.
        algorithm: Excerpt,
    },
    /// The bundle given is not that of the subject's trust domain: bundles are never pooled (BUN-10).
    #[error("{subject} is not of trust domain {bundle}")]
    WrongTrustDomain {
        /// The bundle's trust domain.
        bundle: TrustDomain,
        /// The subject.
        subject: SpiffeId,
    },
    /// `typ` is neither `JWT` nor `JOSE` (JWT-06).
    #[error("the token's type {typ} is not that of a JWT-SVID (JWT, JOSE, or none)")]
    WrongType {
        /// What the header says.
        typ: Excerpt,
    },
}

impl JwtSvidError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AudienceMissing => "audience_missing",
            Self::AudienceOther { .. } => "audience_other",
            Self::CriticalExtension => "critical_extension",
            Self::Expired { .. } => "expired",
            Self::ExpiryMissing => "expiry_missing",
            Self::HeaderUnreadable => "header_unreadable",
            Self::IssuedInTheFuture { .. } => "issued_in_the_future",
            Self::KeyIdMissing => "key_id_missing",
            Self::KeyMismatch { .. } => "key_mismatch",
            Self::KeyUnknown { .. } => "key_unknown",
            Self::MalformedClaim { .. } => "malformed_claim",
            Self::NoBundle { .. } => "no_bundle",
            Self::NotCompact => "not_compact",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::PayloadUnreadable => "payload_unreadable",
            Self::SignatureInvalid { .. } => "signature_invalid",
            Self::SignatureUnreadable => "signature_unreadable",
            Self::SubjectInvalid { .. } => "subject_invalid",
            Self::SubjectMissing => "subject_missing",
            Self::SubjectWithoutPath { .. } => "subject_without_path",
            Self::TooLong { .. } => "too_long",
            Self::UnsupportedAlgorithm { .. } => "unsupported_algorithm",
            Self::WrongTrustDomain { .. } => "wrong_trust_domain",
            Self::WrongType { .. } => "wrong_type",
        }
    }
}

impl Coded for JwtSvidError {
    fn code(&self) -> Code {
        Code::JwtSvidInvalid
    }
}
