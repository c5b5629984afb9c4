//! Files that survive a crash, and reads that know their limit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use crate::process::effective_uid;
use crate::random;

/// A file or directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The directory belongs to someone else.
    #[error("{} belongs to uid {owner}, not to this process (uid {own})", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this process.
        own: u32,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is something else than a directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The file is longer than it can be.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most it may hold.
        limit: usize,
    },
}

impl FileError {
    /// Returns whether the cause is that there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Coded for FileError {
    fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Code::DiskFull,
            Self::ForeignOwner { .. } | Self::Io { .. } | Self::NotADirectory { .. } | Self::TooLong { .. } => Code::FileUnavailable,
        }
    }
}

/// Replaces a file with these octets and this mode: after a crash at any moment it holds the old content or the new, and after the return the new.
///
/// # Errors
/// [`FileError`]; the old file is then unchanged.
pub fn write_durable(path: &Path, octets: &[u8], mode: u32) -> Result<(), FileError> {
    let temporary = write_beside(path, octets, mode)?;
    if let Err(source) = std::fs::rename(&temporary, path) {
        discard(&temporary);
        return Err(FileError::Io {
            action: "replace",
            path: path.to_owned(),
            source,
        });
    }
    sync_directory(parent(path))
}

/// Makes a file that must not exist yet, durably. Returns whether it was made; an existing one is left alone.
///
/// # Errors
/// [`FileError`].
pub fn create_durable(path: &Path, octets: &[u8], mode: u32) -> Result<bool, FileError> {
    let temporary = write_beside(path, octets, mode)?;
    // A link, unlike a rename, fails when the name is taken.
    let linked = std::fs::hard_link(&temporary, path);
    discard(&temporary);
    match linked {
        Ok(()) => sync_directory(parent(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(FileError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Removes a file durably. One that is not there is no error.
///
/// # Errors
/// [`FileError`].
pub fn remove_durable(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::Io {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes names that were added to or removed from a directory durable.
///
/// # Errors
/// [`FileError`].
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::io("sync", path))
}

/// Reads a file of at most `limit` octets.
///
/// # Errors
/// [`FileError`], `TooLong` before more than the limit is read.
pub fn read_limited(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let mut octets = Vec::new();
    read_file(file, path, limit, &mut octets)?;
    Ok(octets)
}

/// Reads a file of at most `limit` octets that holds a secret: the octets are wiped when dropped.
///
/// # Errors
/// [`FileError`].
pub fn read_secret(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    read_secret_from(file, path, limit)
}

/// Reads an open file as [`read_secret`] does.
pub(crate) fn read_secret_from(file: File, path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // The whole capacity at once: a buffer that grew would leave copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    read_file(file, path, limit, &mut octets)?;
    Ok(octets)
}

/// Makes a directory with its parents, or takes one that is there: owned by this process, with no wider mode than `mode`.
///
/// # Errors
/// [`FileError`] when it belongs to someone else, or is no directory.
pub fn ensure_private_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(FileError::io("create the directory", path))?;
    let metadata = std::fs::metadata(path).map_err(FileError::io("look at", path))?;
    if !metadata.is_dir() {
        return Err(FileError::NotADirectory { path: path.to_owned() });
    }
    let own = effective_uid();
    if metadata.uid() != own {
        return Err(FileError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            own,
        });
    }
    if metadata.mode() & 0o777 & !mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(FileError::io("set the mode of", path))?;
    }
    Ok(())
}

/// Returns whether a directory is missing or empty.
///
/// # Errors
/// [`FileError`] when it cannot be listed.
pub fn is_missing_or_empty(path: &Path) -> Result<bool, FileError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(FileError::Io {
            action: "list",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns the directory that a name is in: `.` for a bare name.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Writes a synced file under a random name beside `path`.
fn write_beside(path: &Path, octets: &[u8], mode: u32) -> Result<PathBuf, FileError> {
    let temporary = temporary_name(path)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // Again, as the process's umask may have taken bits away.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(octets)?;
        file.sync_all()
    })();
    match written {
        Ok(()) => Ok(temporary),
        Err(source) => {
            discard(&temporary);
            Err(FileError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })
        }
    }
}

fn temporary_name(path: &Path) -> Result<PathBuf, FileError> {
    let tag = random::array::<8>().map_err(|error| FileError::Io {
        action: "name a file beside",
        path: path.to_owned(),
        source: io::Error::other(error),
    })?;
    Ok(parent(path).join(format!(".{}.tmp", hex::encode(tag))))
}

/// Removes a temporary file as well as it can: its random name is never read.
fn discard(temporary: &Path) {
    if let Err(error) = std::fs::remove_file(temporary) {
        tracing::debug!(error = %error, "a temporary file stays behind");
    }
}

fn read_file(file: File, path: &Path, limit: usize, octets: &mut Vec<u8>) -> Result<(), FileError> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(octets).map_err(FileError::io("read", path))?;
    if octets.len() > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_durable(&path, b"one", 0o640).unwrap();
        write_durable(&path, b"two", 0o600).unwrap();
        assert_eq!(read_limited(&path, 3).unwrap(), b"two");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(create_durable(&path, b"first", 0o600).unwrap());
        assert!(!create_durable(&path, b"second", 0o600).unwrap());
        assert_eq!(read_limited(&path, 10).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_a_hundred_who_create_the_same_file_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..100)
                .map(|_| scope.spawn(|| usize::from(create_durable(&path, b"key", 0o600).unwrap())))
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(made, 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_durable(&dir.path().join("missing/state"), b"x", 0o600).unwrap_err();
        assert!(error.is_not_found());
        assert_eq!(error.code(), Code::FileUnavailable);
        // A directory cannot be replaced by a file.
        std::fs::create_dir(dir.path().join("state")).unwrap();
        write_durable(&dir.path().join("state"), b"x", 0o600).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_long_file_is_refused_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        std::fs::write(&path, vec![0; 101]).unwrap();
        assert!(matches!(read_limited(&path, 100), Err(FileError::TooLong { limit: 100, .. })));
        assert_eq!(read_limited(&path, 101).unwrap().len(), 101);
        assert!(matches!(read_limited(Path::new("/dev/zero"), 4096), Err(FileError::TooLong { .. })));
    }

    #[test]
    fn a_directory_that_is_too_open_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        ensure_private_dir(&path, 0o700).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        ensure_private_dir(&path, 0o700).unwrap();
        assert_eq!(mode_of(&path), 0o700);
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"").unwrap();
        ensure_private_dir(&dir.path().join("f"), 0o700).unwrap_err();
    }

    #[test]
    fn emptiness_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_missing_or_empty(dir.path()).unwrap());
        assert!(is_missing_or_empty(&dir.path().join("missing")).unwrap());
        std::fs::write(dir.path().join("f"), b"").unwrap();
        assert!(!is_missing_or_empty(dir.path()).unwrap());
    }
}
