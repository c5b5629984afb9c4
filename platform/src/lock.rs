//! The lock of a data directory: one process at a time, held by the kernel for as long as the process lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use trust_domains::problem::{Code, Coded};

/// How long a dying owner is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the lock is tried meanwhile.
const INTERVAL: Duration = Duration::from_millis(50);

/// The most of a lock file that is read: what it says is information only.
const OWNER_TEXT: u64 = 64;

/// A lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it, and did not end in time.
    #[error("{} is in use by another process{}", directory.display(), owner.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process that wrote its id there, if it did.
        owner: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Coded for LockError {
    fn code(&self) -> Code {
        match self {
            Self::InUse { .. } => Code::DataDirInUse,
            Self::Io { .. } => Code::FileUnavailable,
        }
    }
}

/// Proof that this process alone uses a directory. The kernel lets go of it when the value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock `name` in `directory`; waits 5 s for an owner that is dying. Blocks the thread.
    ///
    /// # Errors
    /// [`LockError::InUse`] when the owner lives on.
    pub fn acquire(directory: &Path, name: &str) -> Result<Self, LockError> {
        Self::acquire_within(directory, name, PATIENCE)
    }

    /// Takes the lock as [`DirectoryLock::acquire`] does, with another patience.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire_within(directory: &Path, name: &str, patience: Duration) -> Result<Self, LockError> {
        let path = directory.join(name);
        let failed = |source: io::Error| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut waited = Duration::ZERO;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if waited < patience => {
                    std::thread::sleep(INTERVAL);
                    waited += INTERVAL;
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(LockError::InUse {
                        directory: directory.to_owned(),
                        owner: owner(&mut file),
                    });
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        note_owner(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Reads who said to hold the lock.
fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(OWNER_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn note_owner(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(dir.path(), "lock").unwrap();
        let error = DirectoryLock::acquire_within(dir.path(), "lock", Duration::ZERO).unwrap_err();
        assert!(
            matches!(error, LockError::InUse { owner: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(held);
        DirectoryLock::acquire_within(dir.path(), "lock", Duration::ZERO).unwrap();
    }

    #[test]
    fn a_dying_owner_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(dir.path(), "lock").unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| DirectoryLock::acquire(dir.path(), "lock"));
            std::thread::sleep(INTERVAL * 3);
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_lock_file_that_was_left_behind_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("lock"),
            b"4711\nand much more text than a process id would ever need, to no effect whatever\n",
        )
        .unwrap();
        DirectoryLock::acquire_within(dir.path(), "lock", Duration::ZERO).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("lock")).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let error = DirectoryLock::acquire(Path::new("/nonexistent"), "lock").unwrap_err();
        assert_eq!(error.to_string(), "cannot lock /nonexistent/lock");
    }
}
