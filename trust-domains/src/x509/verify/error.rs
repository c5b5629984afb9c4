//! Why a peer is not believed.

use crate::problem::{Code, Coded};
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::x509::certificate::ParseCertificateError;
use crate::x509::rules::SigningViolation;
use crate::x509::svid::SvidError;

/// Why a peer's chain is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A certificate above the leaf is larger than [`crate::x509::MAX_CERTIFICATE_BYTES`].
    #[error("certificate {position} of the chain has {actual} bytes, at most {limit} are read")]
    CertificateTooLarge {
        /// Its place, the leaf being 0.
        position: usize,
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// The leaf's validity has ended.
    #[error("the certificate of {spiffe_id} ended at {not_after}, it is {now}")]
    Expired {
        /// Whose it is.
        spiffe_id: SpiffeId,
        /// When it ended.
        not_after: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// The bundle holds no authority that is valid now: nothing of this trust domain is trusted (BUN-07, X509-22).
    #[error("the bundle of {trust_domain} holds no X.509 authority that is valid now")]
    NoAuthorities {
        /// Whose bundle it is.
        trust_domain: TrustDomain,
    },
    /// No certificate above the leaf is one of the pinned roots.
    #[error("no certificate of the chain is one of the {pinned} pinned roots")]
    NoPinnedRoot {
        /// How many roots were pinned.
        pinned: usize,
    },
    /// The peer is proved to be someone, but not the server that was asked for.
    #[error("the peer is {presented}, not {expected}")]
    NotTheServer {
        /// Who was expected.
        expected: SpiffeId,
        /// Who answered.
        presented: SpiffeId,
    },
    /// The leaf's validity has not begun.
    #[error("the certificate of {spiffe_id} begins at {not_before}, it is {now}")]
    NotYetValid {
        /// Whose it is.
        spiffe_id: SpiffeId,
        /// When it begins.
        not_before: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// No valid path leads from the leaf to an authority of the bundle.
    #[error("no valid path leads from {spiffe_id} to an authority of {trust_domain}")]
    Path {
        /// Whose certificate it is.
        spiffe_id: SpiffeId,
        /// Whose bundle was used.
        trust_domain: TrustDomain,
        /// What webpki found.
        #[source]
        source: webpki::Error,
    },
    /// The authority of the bundle allows fewer signing certificates below it than the path has.
    #[error("the authority allows {allowed} signing certificates below it, the path has {actual}")]
    PathTooLong {
        /// The authority's `pathLenConstraint`.
        allowed: u32,
        /// The signing certificates below it.
        actual: usize,
    },
    /// A certificate of the chain is on a revocation list of its CA.
    #[error("the certificate with the serial {serial} is revoked")]
    Revoked {
        /// Its serial.
        serial: Serial,
    },
    /// A signing certificate of the path may not sign.
    #[error("a signing certificate of the path breaks {}", .violation.rule())]
    Signing {
        /// The rule that it breaks.
        #[source]
        violation: SigningViolation,
    },
    /// A signing certificate of the path cannot be read.
    #[error("a signing certificate of the path cannot be read")]
    SigningUnreadable {
        /// What is wrong with it.
        #[source]
        source: ParseCertificateError,
    },
    /// The chain does not begin with a leaf of an X509-SVID.
    #[error("the peer presents no X509-SVID")]
    Svid {
        /// What is wrong with it.
        #[source]
        source: SvidError,
    },
    /// The leaf is of another trust domain than the bundle: bundles are never pooled (BUN-10).
    #[error("{presented} is not of trust domain {expected}")]
    WrongTrustDomain {
        /// The bundle's trust domain.
        expected: TrustDomain,
        /// The identity of the leaf.
        presented: SpiffeId,
    },
}

impl VerifyError {
    /// Returns whether nothing is wrong with the chain but that it leads to no authority that the verifier knows: its bundle may be older than they are.
    #[must_use]
    pub const fn is_of_unknown_authority(&self) -> bool {
        match self {
            Self::NoAuthorities { .. } => true,
            // The second: an authority of the same name has another key.
            Self::Path { source, .. } => matches!(source, webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey),
            _ => false,
        }
    }
}

impl Coded for VerifyError {
    fn code(&self) -> Code {
        match self {
            Self::NoPinnedRoot { .. } => Code::RootMismatch,
            Self::NotTheServer { .. } => Code::ServerIdentityInvalid,
            Self::CertificateTooLarge { .. }
            | Self::Expired { .. }
            | Self::NoAuthorities { .. }
            | Self::NotYetValid { .. }
            | Self::Path { .. }
            | Self::PathTooLong { .. }
            | Self::Revoked { .. }
            | Self::Signing { .. }
            | Self::SigningUnreadable { .. }
            | Self::Svid { .. }
            | Self::WrongTrustDomain { .. } => Code::SvidInvalid,
        }
    }
}
