//! The directory of a supervised program's files: its own, for as long as it runs.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use platform::file_set::{self, Directory, KeyMode, Layout, Ownership};
use trust_domains::delivery::SetFile;

use super::error::RunError;

/// What a directory of ours is called, before its random part. One that nobody holds any more is what a killed supervisor left.
const PREFIX: &str = "troth-run-";

/// How many directories are made until one was not met by another run's clean-up: more runs than that do not begin in the same microseconds.
const TRIES: u32 = 16;

/// The directory, held until this value ends: then its files are removed, and the directory too if it was made here.
#[derive(Debug)]
pub(super) struct Place {
    directory: Directory,
    is_ours: bool,
    ownership: Ownership,
}

impl Place {
    /// Takes the directory that was named, and makes it if it is missing; otherwise makes one for this run under the first of `XDG_RUNTIME_DIR`, `TMPDIR` and
    /// `/tmp` that is an absolute path of a directory, and removes there what runs of this user that were killed left behind.
    pub(super) fn take(named: Option<&Path>) -> Result<Self, RunError> {
        let (directory, is_ours) = match named {
            Some(named) => named_one(named)?,
            None => (new_one(&base())?, true),
        };
        file_set::recover(&directory)?;
        let ownership = Ownership::resolve(None, None, KeyMode::default())?;
        Ok(Self { directory, is_ours, ownership })
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts a set in the place of the one before.
    pub(super) fn publish(&self, files: &[SetFile]) -> Result<(), file_set::FileSetError> {
        Layout::Linked.publish(&self.directory, files, &self.ownership)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.directory, self.is_ours);
    }
}

fn remove(directory: &Directory, is_ours: bool) {
    if let Err(error) = file_set::withdraw(directory) {
        tracing::warn!(directory = %directory.path().display(), error = %error, "the credentials could not be removed");
    }
    if is_ours && let Err(error) = fs::remove_dir(directory.path()) {
        tracing::warn!(directory = %directory.path().display(), error = %error, "the directory of the credentials could not be removed");
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Directory { path, source }
}

/// Takes a directory that was named, and returns whether it was made here. Links are followed once, by us, and never again.
fn named_one(named: &Path) -> Result<(Directory, bool), RunError> {
    let made = match fs::DirBuilder::new().mode(0o700).create(named) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(named)(error)),
    };
    let path = fs::canonicalize(named).map_err(failed(named))?;
    let opened = Directory::open_existing(&path);
    let directory = opened.inspect_err(|_| drop(made.then(|| fs::remove_dir(&path))))?;
    Ok((directory, made))
}

/// Makes a directory under a base, and removes there what killed runs left behind.
///
/// Another run's clean-up may meet it before it is locked, and removes it or holds it for a moment, as one that nobody has: then there is another.
fn new_one(base: &Path) -> Result<Directory, RunError> {
    let base = fs::canonicalize(base).map_err(failed(base))?;
    remove_left_behind(&base);
    let mut left = TRIES;
    loop {
        let chance = platform::random::array::<8>().map_err(|error| failed(&base)(io::Error::other(error)))?;
        let path = base.join(format!("{PREFIX}{}", hex::encode(chance)));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
        match Directory::open_existing(&path) {
            Ok(directory) => return Ok(directory),
            Err(error) => {
                let _gone_already = fs::remove_dir(&path);
                left -= 1;
                if left == 0 {
                    return Err(error.into());
                }
            }
        }
    }
}

/// A variable with a path that is relative or leads to no directory is passed over, as the XDG specification says.
fn base() -> PathBuf {
    let named = ["XDG_RUNTIME_DIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let mut usable = named.filter(|path| path.is_absolute() && path.is_dir());
    usable.next().unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A directory of ours is locked for as long as its supervisor lives; nobody holds the lock of one that was killed.
fn remove_left_behind(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_str().is_some_and(is_name);
        let is_mine = entry
            .metadata()
            .is_ok_and(|facts| facts.is_dir() && facts.uid() == platform::process::effective_uid());
        if is_one
            && is_mine
            && let Ok(directory) = Directory::open_if_free(&entry.path())
        {
            remove(&directory, true);
        }
    }
}

fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|chance| chance.len() == 16 && chance.bytes().all(|octet| octet.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn runs_that_begin_and_end_together_remove_nothing_of_each_other() {
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        let run = || {
            for _ in 0..200 {
                let directory = new_one(&base).unwrap();
                let facts = fs::metadata(directory.path()).unwrap();
                assert_eq!(facts.permissions().mode() & 0o7777, 0o700);
                // The others clean up meanwhile.
                remove_left_behind(&base);
                assert!(directory.path().is_dir(), "a directory that is in use was removed");
                remove(&directory, true);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(run);
            }
        });
        assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let left = base.path().join(format!("{PREFIX}0123456789abcdef"));
        let others = ["troth-run-0123456789abcde", "troth-run-0123456789abcdeg", "other"].map(|name| base.path().join(name));
        for directory in others.iter().chain([&left]) {
            fs::create_dir(directory).unwrap();
        }
        let held = new_one(base.path()).unwrap();
        assert!(!left.exists() && others.iter().all(|other| other.exists()));
        remove(&held, true);
    }
}
