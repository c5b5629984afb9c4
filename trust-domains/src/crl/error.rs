//! Why a list, a set or a patch is not believed.

use crate::plan::authority::AuthorityId;
use crate::problem::{Code, Coded};
use crate::serial::Serial;

/// The octets are not a list that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseCrlError {
    /// An extension that is critical and not known, or one of a delta, an indirect or a partial list.
    #[error("the list has the extension {oid}, which is not supported")]
    Extension {
        /// Its object identifier.
        oid: String,
    },
    /// The DER is not that of a list.
    #[error("the list is malformed at byte {offset}")]
    Malformed {
        /// Where.
        offset: usize,
    },
    /// RFC 5280 sections 5.2.1 and 5.2.3: a list has an authority key identifier and a number. Section 5.1.2.5: it has a nextUpdate.
    #[error("the list has no {what}")]
    Missing {
        /// What is not there.
        what: &'static str,
    },
    /// The entries are not in the order of their serials, or one is there twice.
    #[error("the serial {serial} is out of order in the list")]
    OutOfOrder {
        /// The one that is not above the one before it.
        serial: Serial,
    },
    /// Longer than is read.
    #[error("the list has {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
}

impl Coded for ParseCrlError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

/// A list is not believed to be its CA's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlRefused {
    /// The certificate is not that of a CA that signs lists.
    #[error("the certificate that came with the list is not that of a CA that signs lists")]
    NotAnIssuer,
    /// The list is another CA's.
    #[error("the list is that of {presented}, not of {expected}")]
    OtherIssuer {
        /// The CA at hand.
        expected: AuthorityId,
        /// The CA that the list names.
        presented: AuthorityId,
    },
    /// The list cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseCrlError),
    /// The signature is not that of the CA, or of an algorithm that is not supported.
    #[error("the signature of the list of {issuer} is not its CA's")]
    Signature {
        /// The CA.
        issuer: AuthorityId,
    },
}

impl Coded for CrlRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

/// A patch does not lead from the list that is held to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchRefused {
    /// A part keeps octets that the old list does not have.
    #[error("a part of the patch lies outside of the list of {len} bytes")]
    OutOfRange {
        /// The length of the old list.
        len: usize,
    },
    /// What comes out is not a list.
    #[error(transparent)]
    Parse(#[from] ParseCrlError),
    /// It was made for another list.
    #[error("the patch for the list of {issuer} applies to another one than is held")]
    OtherList {
        /// The CA.
        issuer: AuthorityId,
    },
}

/// A set is not complete, or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlSetRefused {
    /// A list is not believed.
    #[error(transparent)]
    List(#[from] CrlRefused),
    /// A change speaks of a list that is not in the set.
    #[error("there is no list of {issuer} to change")]
    NotHeld {
        /// The CA.
        issuer: AuthorityId,
    },
    /// A change gives a list a number that does not go up.
    #[error("the list of {issuer} has the number {presented} after {held}")]
    NumberNotAbove {
        /// The CA.
        issuer: AuthorityId,
        /// The number that is held.
        held: u64,
        /// That of the new list.
        presented: u64,
    },
    /// A patch does not fit.
    #[error(transparent)]
    Patch(#[from] PatchRefused),
    /// More lists than a set may have.
    #[error("the set has {actual} lists, the limit is {limit}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// Two lists of one CA.
    #[error("the set has two lists of {issuer}")]
    Twice {
        /// The CA.
        issuer: AuthorityId,
    },
}

impl Coded for CrlSetRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}
