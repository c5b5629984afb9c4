//! Why the Workload API gave nothing.

use std::path::PathBuf;

use tonic::Status;
use trust_domains::SpiffeId;
use trust_domains::bundle::{DerBundleError, ParseBundleError};
use trust_domains::crl::ParseCrlError;
use trust_domains::jwt_svid::JwtSvidError;
use trust_domains::problem::{Code, Coded};
use trust_domains::trust_domain::ParseTrustDomainError;
use trust_domains::x509::{SvidError, VerifyError};

/// Why the Workload API gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// Nobody answers on the socket.
    #[error("nobody answers on {}: {reason}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The agent ended the stream without a reason.
    #[error("the agent ended the stream")]
    Ended,
    /// What the agent sent cannot be used.
    #[error("what the agent sent cannot be used")]
    Invalid(#[from] InvalidMessage),
    /// The agent did not answer in time.
    #[error("the agent on {} did not answer in time", socket.display())]
    Late {
        /// The socket.
        socket: PathBuf,
    },
    /// The agent refused.
    #[error("{reason}")]
    Refused {
        /// Which refusal it is.
        code: Code,
        /// What the agent said.
        reason: String,
    },
    /// This agent does not offer WIT-SVIDs (WAPI-20).
    #[error("{reason}")]
    WitOff {
        /// What the agent said.
        reason: String,
    },
}

/// A message of the Workload API that is not as the standard says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidMessage {
    /// A bundle cannot be read.
    #[error("a bundle cannot be read")]
    Bundle(#[from] DerBundleError),
    /// A revocation list cannot be read.
    #[error("a revocation list cannot be read")]
    Crl(#[from] ParseCrlError),
    /// The message names another identity than its certificate or token.
    #[error("the message says {said}, its content {shown}")]
    IdDiffers {
        /// What the message says.
        said: String,
        /// Whose certificate or token it is.
        shown: SpiffeId,
    },
    /// Keys of tokens cannot be read.
    #[error("the keys of tokens cannot be read")]
    Jwks(#[from] ParseBundleError),
    /// A token is not a JWT-SVID that may be believed.
    #[error("the token of an identity does not verify")]
    Jwt(#[from] JwtSvidError),
    /// The private key is that of another certificate.
    #[error("the private key is not the certificate's")]
    KeyOfAnother,
    /// The private key cannot be read.
    #[error("the private key is no P-256 key in PKCS#8")]
    KeyUnreadable,
    /// There is no audience to verify a token for.
    #[error("no audience is named")]
    NoAudience,
    /// It holds no identity.
    #[error("the agent sent a message without SVIDs")]
    NoSvids,
    /// A certificate is not an X509-SVID.
    #[error("the certificate of an identity cannot be read")]
    Svid(#[from] SvidError),
    /// A trust domain's name is none.
    #[error("a bundle is named wrongly")]
    TrustDomain(#[from] ParseTrustDomainError),
    /// The chain does not verify with the bundle beside it.
    #[error("the certificate of an identity does not verify")]
    Unverified(#[from] VerifyError),
}

impl SourceError {
    /// Makes the error of a status.
    pub(super) fn refused(status: &Status) -> Self {
        let code = match status.code() {
            tonic::Code::PermissionDenied => Code::NoEntries,
            tonic::Code::Unavailable => Code::WorkloadUnavailable,
            tonic::Code::ResourceExhausted => Code::TooManyRequests,
            tonic::Code::Unimplemented => Code::NotImplemented,
            tonic::Code::InvalidArgument => Code::InvalidRequest,
            _ => Code::Internal,
        };
        Self::Refused {
            code,
            reason: status.message().to_owned(),
        }
    }

    /// Makes the error of a status of the WIT profile, which may be switched off.
    pub(super) fn wit_refused(status: &Status) -> Self {
        match status.code() {
            tonic::Code::Unimplemented => Self::WitOff {
                reason: status.message().to_owned(),
            },
            _ => Self::refused(status),
        }
    }

    /// Returns whether the agent answered and said that this process is entitled to nothing (PermissionDenied, WAPI-05).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.code() == Code::NoEntries
    }
}

impl Coded for SourceError {
    fn code(&self) -> Code {
        match self {
            Self::Connect { .. } | Self::Late { .. } => Code::CannotReach,
            Self::Ended => Code::WorkloadUnavailable,
            Self::Invalid(invalid) => invalid.code(),
            Self::Refused { code, .. } => *code,
            Self::WitOff { .. } => Code::NotImplemented,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Connect { .. } | Self::Late { .. } => "check that the agent runs: troth health agent; or name its socket: --socket PATH".to_owned(),
            Self::WitOff { .. } => "the agent's operator switches it on: troth agent run --enable wit; the server needs the same".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

impl Coded for InvalidMessage {
    fn code(&self) -> Code {
        match self {
            Self::Jwt(_) => Code::JwtSvidInvalid,
            Self::NoAudience => Code::Usage,
            _ => Code::SvidInvalid,
        }
    }
}
