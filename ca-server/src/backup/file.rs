//! The file of a backup: new, private, and there only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use platform::files;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

/// The file of a backup while it is written. It gets its name when it is whole; dropped before, it is removed.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    octets: u64,
}

/// The file of a backup cannot be written.
#[derive(Debug, Error)]
pub enum WriteBackupError {
    /// There is a file of that name.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Coded for WriteBackupError {
    fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Exists { .. } | Self::Io { .. } => Code::FileUnavailable,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Exists { .. } => "a backup is never written over: name a file that does not exist with --to".to_owned(),
            Self::Io { .. } => self.code().facts().hint.to_owned(),
        }
    }
}

impl BackupFile {
    /// Begins a new file, for its owner's eyes only.
    ///
    /// # Errors
    /// There is a file of that name, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, WriteBackupError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(WriteBackupError::Exists { path: path.to_owned() });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = made.map_err(|source| WriteBackupError::Io { path: partial.clone(), source })?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file,
            octets: 0,
        })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), WriteBackupError> {
        self.file.write_all(octets).map_err(|source| self.failed(source))?;
        self.octets += octets.len() as u64;
        Ok(())
    }

    /// Makes the file durable and gives it its name; returns how many octets it has.
    ///
    /// # Errors
    /// The disk does not take it, or somebody made a file of that name meanwhile.
    pub fn finish(self) -> Result<u64, WriteBackupError> {
        self.file.sync_all().map_err(|source| self.failed(source))?;
        self.name()?;
        let directory = files::parent(&self.path);
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| self.failed(source))?;
        Ok(self.octets)
    }

    /// Gives the file its name, but never that of another: a file system that cannot promise this is asked first.
    fn name(&self) -> Result<(), WriteBackupError> {
        let exists = || WriteBackupError::Exists { path: self.path.clone() };
        match renameat_with(CWD, &self.partial, CWD, &self.path, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(exists()),
            Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(&self.path).is_ok() => Err(exists()),
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&self.partial, &self.path).map_err(|source| self.failed(source)),
            renamed => renamed.map_err(|error| self.failed(error.into())),
        }
    }

    fn failed(&self, source: io::Error) -> WriteBackupError {
        WriteBackupError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for BackupFile {
    /// Removes the name that it had while it was written.
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.partial)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.partial.display(), "the unfinished file of a backup was not removed");
        }
    }
}
