//! What can be wrong with a backup.

use std::io;
use std::path::PathBuf;

use platform::random::RandomError;
use platform::sealing::{RecoveryPublicKey, UnsealError};
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

use crate::journal::JournalError;
use crate::seal::OpenStoreError;
use crate::store::StoreError;

/// No backup was made.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The backup was not recorded.
    #[error("the backup cannot be recorded")]
    Journal(#[from] JournalError),
    /// The trust domain has no recovery key to seal to.
    #[error("this trust domain was made without a recovery key")]
    NoRecoveryKey,
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A part cannot be sealed.
    #[error("the backup cannot be sealed")]
    Seal(#[from] UnsealError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// What the store says of itself cannot be read.
    #[error("the store cannot be read")]
    Unreadable(#[from] OpenStoreError),
}

impl Coded for BackupError {
    fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::NoRecoveryKey => Code::RecoveryKeyMissing,
            Self::Random(_) | Self::Seal(_) => Code::Internal,
            Self::Store(error) => error.code(),
            Self::Unreadable(error) => error.code(),
        }
    }
}

/// A backup cannot be read. Nothing was made from it.
#[derive(Debug, Error)]
pub enum ReadBackupError {
    /// It was changed, or a part of it is missing.
    #[error("the backup is damaged: {what} cannot be read")]
    Damaged {
        /// Where.
        what: &'static str,
    },
    /// A newer version made it.
    #[error("the backup has format {found}, this version knows {known}")]
    FormatUnknown {
        /// The version it names.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("the file is not a backup of this program")]
    NotABackup,
    /// It is sealed to another recovery key.
    #[error("the backup is sealed to the recovery key whose public half is {expected}, this one's is {presented}")]
    OtherRecoveryKey {
        /// The one that opens it.
        expected: RecoveryPublicKey,
        /// The one that was given.
        presented: RecoveryPublicKey,
    },
}

impl Coded for ReadBackupError {
    fn code(&self) -> Code {
        match self {
            Self::Damaged { .. } | Self::NotABackup => Code::BackupInvalid,
            Self::FormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::Io { .. } => Code::FileUnavailable,
            Self::OtherRecoveryKey { .. } => Code::RecoveryKeyWrong,
        }
    }
}
