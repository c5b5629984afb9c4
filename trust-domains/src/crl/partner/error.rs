//! Why the lists of a partner are not taken.

use crate::crl::CrlSetRefused;
use crate::plan::authority::AuthorityId;
use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;

/// What a partner publishes as its lists makes no complete set that is believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartnerCrlsRefused {
    /// There is no list in the document.
    #[error("the document holds no revocation list")]
    Empty,
    /// Verifiers do not believe the list any more.
    #[error("the list of {issuer} has ended at {at}")]
    Ended {
        /// The CA.
        issuer: AuthorityId,
        /// Its `nextUpdate`.
        at: Timestamp,
    },
    /// A CA has no list.
    #[error("there is no list of the CA {ca}")]
    Incomplete {
        /// Its key identifier; its subject, where it is a root.
        ca: String,
    },
    /// A list is not believed, or there are too many.
    #[error(transparent)]
    List(#[from] CrlSetRefused),
    /// The list is older than the one that is held.
    #[error("the list of {issuer} has the number {presented}, older than {held}, which is held")]
    Older {
        /// The CA.
        issuer: AuthorityId,
        /// The number of the held one.
        held: u64,
        /// Its own.
        presented: u64,
    },
    /// Longer than is read.
    #[error("the lists have {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Their length.
        actual: usize,
    },
    /// No root of the partner's bundle stands for the CA, nor a CA whose certificate came along.
    #[error("the list of {issuer} is not under a root of the partner's bundle; if an issuing CA signed it, its certificate must be in the same PEM")]
    UnknownCa {
        /// The CA that the list names.
        issuer: AuthorityId,
    },
    /// Neither PEM nor DER.
    #[error("the document is neither revocation lists in DER nor PEM of lists and certificates")]
    Unreadable,
}

impl Coded for PartnerCrlsRefused {
    fn code(&self) -> Code {
        match self {
            Self::Ended { .. } => Code::CrlEnded,
            Self::Incomplete { .. } => Code::CrlIncomplete,
            Self::Older { .. } => Code::CrlOutdated,
            Self::Empty | Self::List(_) | Self::TooLarge { .. } | Self::UnknownCa { .. } | Self::Unreadable => Code::CrlRefused,
        }
    }
}
