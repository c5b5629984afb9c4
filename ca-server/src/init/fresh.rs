//! A data directory that holds nothing yet: taken, marked while something is made in it, and let go when that is whole.

use std::path::{Path, PathBuf};

use platform::files::{self, FileError};
use platform::lock::{DirectoryLock, LockError};
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

use crate::config::DataDir;

/// The mode of the data directory.
const PRIVATE: u32 = 0o700;

/// A data directory that is held and empty.
#[derive(Debug)]
pub(crate) struct FreshDirectory {
    data_dir: DataDir,
    _lock: DirectoryLock,
}

/// A data directory cannot be begun.
#[derive(Debug, Error)]
pub enum FreshError {
    /// It cannot be made or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process holds the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is something in the directory.
    #[error("{} is not empty", data_dir.display())]
    NotEmpty {
        /// The directory.
        data_dir: PathBuf,
    },
    /// An earlier beginning was never ended.
    #[error("an earlier init or restore in {} did not end", data_dir.display())]
    Unfinished {
        /// The directory.
        data_dir: PathBuf,
    },
}

impl Coded for FreshError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code(),
            Self::Lock(error) => error.code(),
            Self::NotEmpty { .. } | Self::Unfinished { .. } => Code::DataDirNotEmpty,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Unfinished { data_dir } => {
                format!("nothing was issued there; remove it and run the command again: rm -r {}", data_dir.display())
            }
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

impl FreshDirectory {
    /// Says whether a directory may be begun, and changes nothing.
    ///
    /// # Errors
    /// It holds something.
    pub(crate) fn check(data_dir: &DataDir) -> Result<(), FreshError> {
        if data_dir.unfinished().exists() {
            return Err(FreshError::Unfinished {
                data_dir: data_dir.path().to_owned(),
            });
        }
        // A lock that was left behind is not something in the directory.
        if files::is_missing_or_empty(data_dir.path())? || holds_only_the_lock(data_dir.path())? {
            return Ok(());
        }
        Err(FreshError::NotEmpty {
            data_dir: data_dir.path().to_owned(),
        })
    }

    /// Makes the directory if it is not there, and takes it.
    ///
    /// # Errors
    /// It holds something, or another process has it.
    pub(crate) fn take(data_dir: &DataDir) -> Result<Self, FreshError> {
        Self::check(data_dir)?;
        files::ensure_private_dir(data_dir.path(), PRIVATE)?;
        let lock = DirectoryLock::acquire(data_dir.path(), DataDir::LOCK)?;
        Self::check(data_dir)?;
        Ok(Self {
            data_dir: data_dir.clone(),
            _lock: lock,
        })
    }

    /// Marks the directory: what is in it from now on is not whole.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub(crate) fn begin(&self) -> Result<(), FreshError> {
        Ok(files::write_durable(
            &self.data_dir.unfinished(),
            b"server init or server restore has begun here and not ended\n",
            0o600,
        )?)
    }

    /// Takes the mark away and lets the directory go: what is in it is whole.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub(crate) fn finish(self) -> Result<(), FreshError> {
        Ok(files::remove_durable(&self.data_dir.unfinished())?)
    }
}

fn holds_only_the_lock(path: &Path) -> Result<bool, FileError> {
    let failed = |source| FileError::Io {
        action: "list",
        path: path.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    Ok(names.iter().all(|name| name == DataDir::LOCK))
}
