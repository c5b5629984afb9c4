//! What store and journal ask of the disk, as a seam: how much is free, a sync, and the end of the process when a sync fails.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The free space below which nothing is written any more: what sled may write between this check and its next sync, and what an operator needs to clean up.
pub const RESERVE: u64 = 64 * 1024 * 1024;

/// The disk as store and journal use it.
#[derive(Clone)]
pub struct Disk {
    free_space: FreeSpace,
    sync: Sync,
    fatal: Fatal,
}

type FreeSpace = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + std::marker::Sync>;
type Sync = Arc<dyn Fn(&File) -> io::Result<()> + Send + std::marker::Sync>;
type Fatal = Arc<dyn Fn(&str) + Send + std::marker::Sync>;

/// Too little is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFull {
    /// The octets that are free.
    pub free: u64,
    /// The octets that stay free.
    pub reserve: u64,
}

impl Disk {
    /// Returns the real disk: `statvfs`, `fdatasync`, and the end of the process.
    #[must_use]
    pub fn real() -> Self {
        Self {
            free_space: Arc::new(free_space),
            sync: Arc::new(File::sync_data),
            fatal: Arc::new(end_process),
        }
    }

    /// Replaces the probe for free space.
    #[must_use]
    pub fn with_free_space(mut self, probe: impl Fn(&Path) -> io::Result<u64> + Send + std::marker::Sync + 'static) -> Self {
        self.free_space = Arc::new(probe);
        self
    }

    /// Replaces the sync.
    #[must_use]
    pub fn with_sync(mut self, sync: impl Fn(&File) -> io::Result<()> + Send + std::marker::Sync + 'static) -> Self {
        self.sync = Arc::new(sync);
        self
    }

    /// Replaces what happens after a failure that leaves unknown what is on the disk. It is called once, with the reason.
    #[must_use]
    pub fn with_fatal(mut self, fatal: impl Fn(&str) + Send + std::marker::Sync + 'static) -> Self {
        self.fatal = Arc::new(fatal);
        self
    }

    /// Refuses when less than the reserve is free.
    ///
    /// # Errors
    /// The outer error: the file system does not answer. The inner: too little is free.
    pub(crate) fn check_space(&self, directory: &Path) -> io::Result<Result<(), TooFull>> {
        let free = (self.free_space)(directory)?;
        Ok(if free < RESERVE { Err(TooFull { free, reserve: RESERVE }) } else { Ok(()) })
    }

    /// Puts what was written to the file on the disk.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        (self.sync)(file)
    }

    /// Ends the process, unless replaced.
    pub(crate) fn fatal(&self, reason: &str) {
        (self.fatal)(reason);
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::real()
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// Puts a directory's entries on the disk: new and renamed files are there after it.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// After a failed sync the kernel may have dropped what was written, and a second sync would say that all is well: only a new start, which
/// reads what is really there, may go on. No destructor runs: sled's would write again.
fn end_process(reason: &str) {
    tracing::error!(reason, "The disk failed; the process ends so that the next start reads what is really stored");
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_itself_is_enough_and_one_octet_less_is_not() {
        let disk = |free| Disk::real().with_free_space(move |_| Ok(free));
        assert_eq!(disk(RESERVE).check_space(Path::new("/")).unwrap(), Ok(()));
        assert_eq!(
            disk(RESERVE - 1).check_space(Path::new("/")).unwrap(),
            Err(TooFull {
                free: RESERVE - 1,
                reserve: RESERVE
            })
        );
    }

    #[test]
    fn the_real_probe_answers_for_a_directory_and_fails_for_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(free_space(directory.path()).is_ok());
        assert!(Disk::real().check_space(&directory.path().join("none")).is_err());
    }
}
