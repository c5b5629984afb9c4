//! Why something is not revoked.

use platform::random::RandomError;
use thiserror::Error;
use trust_domains::Serial;
use trust_domains::crl::CrlSetRefused;
use trust_domains::problem::{Code, Coded};
use trust_domains::spiffe_id::ParseSpiffeIdError;

use crate::journal::JournalError;
use crate::registry::EditError;
use crate::registry::records::RecordError;
use crate::store::CommitError;

/// An order to revoke is refused, or cannot be carried out.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// The reason is too long.
    #[error("the reason has {actual} bytes, the limit is {limit}")]
    BecauseTooLong {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// The serial is that of an authority.
    #[error("the certificate with serial {serial} is that of an authority")]
    OfAuthority {
        /// The serial.
        serial: Serial,
    },
    /// The rule was not committed.
    #[error("the revocation was not written")]
    Commit(#[from] CommitError),
    /// The decision was not recorded, so nothing was revoked.
    #[error("the revocation cannot be recorded")]
    Journal(#[from] JournalError),
    /// What was named is not found, or ambiguous.
    #[error(transparent)]
    Named(#[from] EditError),
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The rule cannot be encoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A name is not a SPIFFE ID of this trust domain.
    #[error(transparent)]
    SpiffeId(#[from] ParseSpiffeIdError),
    /// This server signed no such certificate, or it has ended.
    #[error("this server signed no certificate with serial {serial} that has not ended")]
    Unknown {
        /// The serial.
        serial: Serial,
    },
}

impl Coded for RevokeError {
    fn code(&self) -> Code {
        match self {
            Self::BecauseTooLong { .. } | Self::OfAuthority { .. } => Code::InvalidRequest,
            Self::Commit(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Named(error) => error.code(),
            Self::Random(_) => Code::Internal,
            Self::Record(error) => error.code(),
            Self::SpiffeId(error) => error.code(),
            Self::Unknown { .. } => Code::CertificateNotFound,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::BecauseTooLong { limit, .. } => format!("say it in at most {limit} bytes"),
            Self::OfAuthority { .. } => "an authority has its own way out: troth authority replace --compromised, or troth authority revoke ID".to_owned(),
            Self::Named(error) => error.hint(),
            Self::SpiffeId(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Lists that a node hands back are not taken.
#[derive(Debug, Error)]
pub enum HandedBackRefused {
    /// Nobody under a root of this trust domain signed it.
    #[error("the list of {issuer} is not under a root of this trust domain")]
    Foreign {
        /// Whose it says it is.
        issuer: String,
    },
    /// A list is not believed.
    #[error("the lists are not believed")]
    List(#[from] CrlSetRefused),
    /// They could not be kept.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
}

impl Coded for HandedBackRefused {
    fn code(&self) -> Code {
        match self {
            Self::Foreign { .. } | Self::List(_) => Code::InvalidRequest,
            Self::Revoke(error) => error.code(),
        }
    }
}
