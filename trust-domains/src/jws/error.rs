//! Why a text is not the token that it should be, whatever it says.

use std::fmt;

use super::excerpt::Excerpt;

/// A claim that has a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The hash of an access token.
    Ath,
    /// The audience.
    Aud,
    /// The key that the token is bound to.
    Cnf,
    /// The end.
    Exp,
    /// The moment of issue.
    Iat,
    /// The token's own id.
    Jti,
    /// The beginning.
    Nbf,
    /// The hashes of other tokens.
    Oth,
    /// The subject.
    Sub,
    /// The hash of a transaction token.
    Tth,
    /// The hash of a Workload Identity Token.
    Wth,
}

impl Claim {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ath => "ath",
            Self::Aud => "aud",
            Self::Cnf => "cnf",
            Self::Exp => "exp",
            Self::Iat => "iat",
            Self::Jti => "jti",
            Self::Nbf => "nbf",
            Self::Oth => "oth",
            Self::Sub => "sub",
            Self::Tth => "tth",
            Self::Wth => "wth",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is not a token of the kind that is read. No variant holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// The header has `crit` (RFC 7515 section 4.1.11).
    #[error("the token's header demands an extension (crit); there is none")]
    CriticalExtension,
    /// `exp` is missing.
    #[error("the token has no end (exp)")]
    ExpiryMissing,
    /// The header is not base64url of a JSON object that names each member once.
    #[error("the token's header is not a JSON object in base64url that names each member once")]
    HeaderUnreadable,
    /// A claim has another type than its standard gives it.
    #[error("the token's claim {claim} has the wrong type")]
    MalformedClaim {
        /// Which.
        claim: Claim,
    },
    /// It is not three parts joined by dots.
    #[error("the token is not a JWS in compact form: three parts joined by dots")]
    NotCompact,
    /// The payload is not base64url of a JSON object that names each member once.
    #[error("the token's payload is not a JSON object in base64url that names each member once")]
    PayloadUnreadable,
    /// The signature is not base64url.
    #[error("the token's signature is not base64url")]
    SignatureUnreadable,
    /// The token is longer than is read.
    #[error("the token has {actual} bytes, at most {limit} are read")]
    TooLong {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// `alg` is none of the nine.
    #[error("the token's algorithm {algorithm} is none of the nine of token SVIDs (RS, ES or PS with 256, 384 or 512)")]
    UnsupportedAlgorithm {
        /// What the header says.
        algorithm: Excerpt,
    },
    /// `typ` is that of another kind of token.
    #[error("the token's type {typ} is not that of a {expected}")]
    WrongType {
        /// What the header says; of one that is missing an empty text.
        typ: Excerpt,
        /// What it should be.
        expected: &'static str,
    },
}

impl JwsError {
    /// Returns the reason as a stable word, for metrics and test vectors.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::CriticalExtension => "critical_extension",
            Self::ExpiryMissing => "expiry_missing",
            Self::HeaderUnreadable => "header_unreadable",
            Self::MalformedClaim { .. } => "malformed_claim",
            Self::NotCompact => "not_compact",
            Self::PayloadUnreadable => "payload_unreadable",
            Self::SignatureUnreadable => "signature_unreadable",
            Self::TooLong { .. } => "too_long",
            Self::UnsupportedAlgorithm { .. } => "unsupported_algorithm",
            Self::WrongType { .. } => "wrong_type",
        }
    }
}
