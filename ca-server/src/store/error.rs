//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use trust_domains::problem::{Code, Coded};

use super::{Commit, Key};

/// A store could not be made, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored is not what was written.
    #[error("the store in {} is damaged: {what}", directory.display())]
    Damaged {
        /// The store's directory.
        directory: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// There is something where a new store should be.
    #[error("{} is there already", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// The store was written by a version that this one does not know.
    #[error("the store has format {found}, this version knows format {known}")]
    FormatUnknown {
        /// The format of the store.
        found: u32,
        /// The format that this version reads and writes.
        known: u32,
    },
    /// The store was never completely made: its making was interrupted.
    #[error("the store in {} was not completely made", directory.display())]
    Incomplete {
        /// The store's directory.
        directory: PathBuf,
    },
    /// Another process has the store open.
    #[error("another process holds the store in {}", directory.display())]
    InUse {
        /// The store's directory.
        directory: PathBuf,
    },
    /// The operating system refused.
    #[error("{doing} in {}", directory.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The store's directory.
        directory: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is no store.
    #[error("there is no store in {}", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The store has stopped after a failure, or is closing.
    #[error("the store has stopped")]
    Stopped,
}

/// A commit was not performed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A precondition does not hold: someone changed the record, or it is there, or it is not.
    #[error("{key} is not as expected")]
    Conflict {
        /// The record.
        key: Key,
    },
    /// The disk has too little free space; nothing was written.
    #[error("{free} bytes are free, and {reserve} must stay free")]
    DiskFull {
        /// The octets that are free.
        free: u64,
        /// The octets that stay free.
        reserve: u64,
    },
    /// The commit is over the limits.
    #[error(
        "the commit has {writes} writes and {octets} bytes, at most {} and {} are accepted",
        Commit::MAX_WRITES,
        Commit::MAX_OCTETS
    )]
    TooLarge {
        /// Its writes.
        writes: usize,
        /// Its octets.
        octets: usize,
    },
    /// The store cannot be read or written; whether the commit was performed is known after the next start.
    #[error("the store cannot be written")]
    Unavailable {
        /// Why.
        #[source]
        source: Arc<StoreError>,
    },
}

impl CommitError {
    /// Returns whether the same commit may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Unavailable { .. } => true,
            Self::Conflict { .. } | Self::TooLarge { .. } => false,
        }
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable { source: Arc::new(error) }
    }
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Exists { .. } => Code::DataDirNotEmpty,
            Self::FormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::InUse { .. } => Code::DataDirInUse,
            Self::Incomplete { .. } | Self::Missing { .. } => Code::DataDirNotInitialised,
            // Opening writes too: a start on a full disk says what to do about it.
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Damaged { .. } | Self::Io { .. } | Self::Stopped => Code::StoreUnavailable,
        }
    }
}

impl Coded for CommitError {
    fn code(&self) -> Code {
        match self {
            Self::Conflict { .. } => Code::StoreConflict,
            Self::DiskFull { .. } => Code::DiskFull,
            Self::TooLarge { .. } => Code::BatchTooLarge,
            Self::Unavailable { .. } => Code::StoreUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_when_the_store_cannot_be_opened() {
        let code = |kind: io::ErrorKind| {
            let directory = PathBuf::from("/store");
            StoreError::Io {
                doing: "opening",
                directory,
                source: kind.into(),
            }
            .code()
        };
        assert_eq!(code(io::ErrorKind::StorageFull), Code::DiskFull);
        assert_eq!(code(io::ErrorKind::PermissionDenied), Code::StoreUnavailable);
    }
}
