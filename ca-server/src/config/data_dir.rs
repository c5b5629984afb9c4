//! What lies where in a server's data directory, and beside it.

use std::path::{Path, PathBuf};

/// A server's data directory.
///
/// ```text
/// DATA_DIR/lock           held while a process works here
/// DATA_DIR/store/         the embedded store
/// DATA_DIR/journal/       the issuance journal
/// DATA_DIR/admin.sock     the local admin API
/// DATA_DIR.seal.key       the key file, beside the directory: a copied directory is closed
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The name of the lock in the directory.
    pub const LOCK: &'static str = "lock";

    /// Names a directory; nothing is looked at.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the directory of the embedded store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Returns the directory of the issuance journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// Returns the socket of the local admin API.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        platform::paths::admin_socket(&self.0)
    }

    /// Returns what says that `server init` has begun here and not ended.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.0.join("init.unfinished")
    }

    /// Returns where the key file is unless configured: beside the directory, under its name.
    #[must_use]
    pub fn default_key_file(&self) -> PathBuf {
        platform::paths::default_key_file(&self.0)
    }
}
