//! The directory of a socket: whoever may write there could put a socket of their own in its place.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::process::effective_uid;

/// Bits that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A directory is not fit for a socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketDirectoryError {
    /// Someone else owns it.
    #[error("the directory {} belongs to uid {owner}, not to root or this process (uid {own})", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this process.
        own: u32,
    },
    /// It cannot be made or looked at.
    #[error("the directory {} cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Others may write there.
    #[error("the directory {} may be written by others (mode {mode:04o})", path.display())]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// The directory of a socket, held open: which one it is stays certain, whatever its path names later.
#[derive(Debug)]
pub(super) struct SocketDirectory(File);

impl SocketDirectory {
    fn open(path: &Path) -> io::Result<Self> {
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self(handle.into()))
    }

    pub(super) const fn handle(&self) -> &File {
        &self.0
    }

    /// Returns whether both are one directory, by whatever paths they were opened.
    pub(super) fn is(&self, other: &Self) -> io::Result<bool> {
        let (one, two) = (self.0.metadata()?, other.0.metadata()?);
        Ok((one.dev(), one.ino()) == (two.dev(), two.ino()))
    }
}

/// Makes the directory if it is missing (0755), opens it, and checks that it belongs to root or this process and that nobody else writes there.
pub(super) fn prepare(path: &Path) -> Result<SocketDirectory, SocketDirectoryError> {
    let failed = |source| SocketDirectoryError::Io { path: path.to_owned(), source };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .or_else(exists)
        .map_err(failed)?;
    let directory = SocketDirectory::open(path).map_err(failed)?;
    let metadata = directory.handle().metadata().map_err(failed)?;
    if !metadata.is_dir() {
        return Err(SocketDirectoryError::NotADirectory { path: path.to_owned() });
    }
    let own = effective_uid();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(SocketDirectoryError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            own,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(SocketDirectoryError::WritableByOthers { path: path.to_owned(), mode });
    }
    Ok(directory)
}

/// What is there is looked at next.
fn exists(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}
