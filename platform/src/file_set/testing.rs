//! What the tests of this room share: a directory for sets, and sets whose files all say the same.

use std::path::{Path, PathBuf};

use trust_domains::delivery::SetFile;
use zeroize::Zeroizing;

use super::{KeyMode, Ownership};

/// A directory for sets, removed with the value.
pub(super) struct Sink {
    _root: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl Sink {
    /// In memory where there is such a file system: thousands of syncs on a busy disk take minutes, and show no more.
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_no_such| tempfile::tempdir()).unwrap();
        let path = root.path().join("sink");
        std::fs::create_dir(&path).unwrap();
        Self { _root: root, path }
    }

    pub(super) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path.join(name)).ok()
    }
}

/// A set of these files, each with the number in it.
pub(super) fn set_of(names: &[&str], number: usize) -> Vec<SetFile> {
    let file = |name: &&str| SetFile {
        name: name.parse().unwrap(),
        secret: name.contains("key"),
        content: Zeroizing::new(format!("{number}\n").into_bytes()),
    };
    names.iter().map(file).collect()
}

/// What nobody configured: the process's own, and 0600 for keys.
pub(super) fn ownership() -> Ownership {
    Ownership::resolve(None, None, KeyMode::default()).unwrap()
}

/// Everything in a directory, sorted.
pub(super) fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
