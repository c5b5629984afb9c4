//! What can go wrong with the journal.

use std::io;
use std::path::PathBuf;

use trust_domains::problem::{Code, Coded};

/// The journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalOpenError {
    /// A record that was acknowledged is not what was written, or is missing.
    #[error("the journal {} is damaged at byte {offset}, in record {seq}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The record that should be there.
        seq: u64,
    },
    /// The journal was written by a version that this one does not know.
    #[error("the journal {} has format {found}, this version knows format {known}", path.display())]
    FormatUnknown {
        /// The segment.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format that this version reads and writes.
        known: u32,
    },
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The torn tail was cut, but the cut could not be recorded.
    #[error("cannot record that a torn tail was cut")]
    NotNoted(#[source] JournalError),
}

/// The journal did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// What was read is not what was written.
    #[error("the journal is damaged after record {after}")]
    Damaged {
        /// The last record that could be read.
        after: u64,
    },
    /// The disk has too little free space; nothing was recorded.
    #[error("{free} bytes are free, and {reserve} must stay free")]
    DiskFull {
        /// The octets that are free.
        free: u64,
        /// The octets that stay free.
        reserve: u64,
    },
    /// More events in one append, or more octets in one event, than are accepted.
    #[error("{actual} events or bytes in one append, at most {limit} are accepted")]
    TooLarge {
        /// The most that is accepted.
        limit: usize,
        /// What was asked.
        actual: usize,
    },
    /// A write or sync has failed, or the journal is closing: it records nothing until the next start.
    #[error("the journal has stopped")]
    Unavailable,
}

impl Coded for JournalOpenError {
    fn code(&self) -> Code {
        match self {
            Self::Damaged { .. } | Self::Io { .. } => Code::JournalUnavailable,
            Self::FormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::NotNoted(error) => error.code(),
        }
    }
}

impl Coded for JournalError {
    fn code(&self) -> Code {
        match self {
            Self::Damaged { .. } | Self::Unavailable => Code::JournalUnavailable,
            Self::DiskFull { .. } => Code::DiskFull,
            Self::TooLarge { .. } => Code::BatchTooLarge,
        }
    }
}

impl From<JournalError> for JournalOpenError {
    fn from(error: JournalError) -> Self {
        Self::NotNoted(error)
    }
}
