//! The directory of `--write`: made, checked and filled in one way, and what fails there is said with its path.

use std::io;
use std::path::{Path, PathBuf};

use platform::files::{FileError, remove_durable, write_durable};

use crate::failure::Failure;

/// How many octets a directory must take before a token for it is asked for: more than a token and its key have, in the blocks of common file systems.
const TRIAL_OCTETS: usize = 16 * 1024;

/// What files are called that are written for each identity: `KIND.N.END`, counted from zero.
#[derive(Clone, Copy)]
pub(super) struct Numbered {
    kind: &'static str,
    end: &'static str,
}

impl Numbered {
    /// The names of this kind with this end.
    pub(super) const fn new(kind: &'static str, end: &'static str) -> Self {
        Self { kind, end }
    }

    /// Returns the name with this number.
    pub(super) fn name(self, number: usize) -> String {
        format!("{}.{number}.{}", self.kind, self.end)
    }

    /// Returns the number of a name, if it is just as [`Self::name`] writes it.
    fn number_of(self, name: &str) -> Option<usize> {
        let number = name.strip_prefix(self.kind)?.strip_prefix('.')?.strip_suffix(self.end)?.strip_suffix('.')?;
        number.parse().ok().filter(|&number| self.name(number) == name)
    }
}

/// A directory that credentials are written to.
pub(super) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Takes a directory, and makes it with its parents where it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| refused("create the directory", folder, error))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Takes the directory of this name in this one.
    pub(super) fn inner(&self, name: &str) -> Result<Self, Failure> {
        Self::open(&self.folder.join(name))
    }

    /// Returns the path of what has this name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Checks, with a file that is taken away again, that the directory takes files and that these names can be theirs. What is asked for once and journalled
    /// must not be lost for want of a place.
    pub(super) fn can_take(&self, names: &[&str]) -> Result<(), Failure> {
        for path in names.iter().map(|name| self.path(name)) {
            if path.is_dir() {
                return Err(refused("replace", &path, io::ErrorKind::IsADirectory.into()));
            }
        }
        let tag = platform::random::array::<8>().map_err(|error| refused("name a file in", &self.folder, io::Error::other(error)))?;
        let trial = self.path(&format!(".{}.trial", hex::encode(tag)));
        let written = write_durable(&trial, &[0; TRIAL_OCTETS], 0o600);
        let removed = remove_durable(&trial);
        // The name of the trial tells nobody anything: it is the directory that does not take it.
        let about = |error| match error {
            FileError::Io { action, source, .. } => refused(action_in(action), &self.folder, source),
            other => Failure::of(&other),
        };
        written.and(removed).map_err(about)
    }

    /// Writes a secret: whole or not at all, for its owner's eyes.
    pub(super) fn secret(&self, name: &str, octets: &[u8]) -> Result<(), Failure> {
        self.write(name, octets, 0o600)
    }

    /// Writes what everybody may read, whole or not at all.
    pub(super) fn public(&self, name: &str, octets: &[u8]) -> Result<(), Failure> {
        self.write(name, octets, 0o644)
    }

    fn write(&self, name: &str, octets: &[u8], mode: u32) -> Result<(), Failure> {
        write_durable(&self.path(name), octets, mode).map_err(|error| Failure::of(&error))
    }

    /// Removes a file; one that is not there is no failure.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        remove_durable(&self.path(name)).map_err(|error| Failure::of(&error))
    }

    /// Removes the numbered files of an earlier and larger fetch: `KIND.N.END` from the number `count` on, for each kind and end. What has another name, or
    /// is a directory, is somebody else's and stays.
    pub(super) fn keep_first(&self, count: usize, kinds: &[Numbered]) -> Result<(), Failure> {
        for name in self.names()? {
            let number = kinds.iter().find_map(|kind| kind.number_of(&name));
            if number.is_some_and(|number| number >= count) && !is_directory(&self.path(&name)) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Lists the names in the directory that are text: all that were written here are.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let listed = std::fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = listed.map_err(|error| refused("list", &self.folder, error))?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

/// Whether there is a directory; a link to one is a file.
fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

fn action_in(action: &'static str) -> &'static str {
    match action {
        "remove" => "remove files from",
        "sync" => "sync",
        _ => "write files to",
    }
}

fn refused(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::of(&FileError::Io {
        action,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use trust_domains::problem::{Code, Problem};

    use super::*;

    fn says(refused: Failure) -> Problem {
        assert_eq!((refused.code(), refused.exit()), (Code::FileUnavailable, 1), "{refused:?}");
        refused.problem()
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for folder in [Path::new("/proc/nope"), &file, &file.join("below")] {
            let problem = says(Credentials::open(folder).err().unwrap());
            let start = format!("cannot create the directory {}: ", folder.display());
            assert!(problem.detail.starts_with(&start), "{problem:?}");
        }
    }

    #[test]
    fn a_directory_that_takes_no_file_is_found_out_before_anything_is_lost_and_one_that_does_keeps_no_trace() {
        let problem = says(Credentials::open(Path::new("/proc")).unwrap().can_take(&["a"]).unwrap_err());
        assert!(problem.detail.starts_with("cannot write files to /proc: "), "{problem:?}");

        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(&dir.path().join("new")).unwrap();
        credentials.can_take(&["a", "b"]).unwrap();
        assert!(credentials.names().unwrap().is_empty());
        std::fs::create_dir(credentials.path("b")).unwrap();
        let problem = says(credentials.can_take(&["a", "b"]).unwrap_err());
        assert!(
            problem.detail.starts_with(&format!("cannot replace {}", credentials.path("b").display())),
            "{problem:?}"
        );
    }

    #[test]
    fn of_an_earlier_fetch_its_own_numbered_files_go_and_nothing_else() {
        const KINDS: &[Numbered] = &[Numbered::new("wit", "token"), Numbered::new("wit", "key.json")];
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(dir.path()).unwrap();
        let mut stay = [
            "wit.0.token",
            "wit.0.key.json",
            "wit.01.token",
            "wit.+1.token",
            "wit.1.token.bak",
            "wit.1.pem",
            "wit.token",
            "wit..token",
            "wit.1.2.token",
            "wit.99999999999999999999.token",
            "xwit.1.token",
            "jwt.1.token",
            ".wit.1.token",
            "WIT.1.token",
        ];
        let go = ["wit.1.token", "wit.1.key.json", "wit.2.token", "wit.10.key.json"];
        for name in stay.iter().chain(&go) {
            credentials.secret(name, b"kept").unwrap();
        }
        std::fs::create_dir(credentials.path("wit.3.token")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("file"), "not ours").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("file"), credentials.path("wit.4.token")).unwrap();

        credentials.keep_first(1, KINDS).unwrap();
        std::fs::remove_dir(credentials.path("wit.3.token")).expect("a directory is not ours");
        let mut left = credentials.names().unwrap();
        left.sort();
        stay.sort_unstable();
        assert_eq!(left, stay);
        assert!(elsewhere.path().join("file").exists(), "the link goes, not what it names");
        credentials.keep_first(0, KINDS).unwrap();
        assert!(!credentials.path("wit.0.token").exists() && credentials.path("jwt.1.token").exists());
    }

    #[test]
    fn a_secret_is_its_owners_even_where_everybody_could_read_the_file_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(dir.path()).unwrap();
        credentials.public("a", b"1").unwrap();
        credentials.secret("a", b"2").unwrap();
        let mode = credentials.path("a").metadata().unwrap().permissions().mode();
        assert_eq!((mode & 0o777, credentials.names().unwrap()), (0o600, vec!["a".to_owned()]));
    }
}
