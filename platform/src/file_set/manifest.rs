//! The list of the single files that were put into a directory: nothing that is not on it is ever replaced or removed.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use trust_domains::delivery::{FileName, SetFile};

use super::directory::Directory;
use super::error::FileSetError;

/// The list: a name a line. It is written before the first file and shortened after the last, so a crash leaves it too long at most.
pub(super) const MANIFEST: &str = "..files";

/// The list on its way to become [`MANIFEST`].
const NEXT: &str = "..files~next";

/// More than a hundred partners with the longest names need.
const MAX_BYTES: u64 = 1024 * 1024;

/// Which single files of a directory are ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    names: BTreeSet<FileName>,
}

impl Manifest {
    /// Returns a list of these files.
    pub(super) fn of(files: &[SetFile]) -> Self {
        Self {
            names: files.iter().map(|file| file.name.clone()).collect(),
        }
    }

    /// Reads the list of a directory; without one there are no single files of ours.
    pub(super) fn read(directory: &Directory) -> Result<Self, FileSetError> {
        let path = directory.path_of(MANIFEST);
        let failed = |errno| FileSetError::system("reading", &path, errno);
        let opened = match openat(
            directory,
            MANIFEST,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        ) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(Self::default()),
            Err(errno) => return Err(failed(errno)),
        };
        let mut octets = Vec::new();
        let read = std::fs::File::from(opened).take(MAX_BYTES).read_to_end(&mut octets);
        read.map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let parsed = String::from_utf8(octets)
            .ok()
            .and_then(|text| text.lines().map(|line| line.parse().ok()).collect());
        parsed.map(|names| Self { names }).ok_or(FileSetError::Foreign { path })
    }

    /// Writes the list, durable before this returns; an empty one is none.
    pub(super) fn write(&self, directory: &Directory) -> Result<(), FileSetError> {
        let failed = |errno| FileSetError::system("writing", &directory.path_of(MANIFEST), errno);
        let written = if self.names.is_empty() {
            gone(directory, MANIFEST)
        } else {
            self.replace(directory)
        };
        written.and_then(|()| fsync(directory)).map_err(failed)
    }

    fn replace(&self, directory: &Directory) -> Result<(), Errno> {
        gone(directory, NEXT)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut next = std::fs::File::from(openat(directory, NEXT, flags, Mode::from_raw_mode(0o644))?);
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        let written = next
            .write_all(text.as_bytes())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        let replaced = written
            .and_then(|()| fsync(&next))
            .and_then(|()| renameat(directory, NEXT, directory, MANIFEST));
        if replaced.is_err() {
            // Best effort: on a full disk it takes the space of the next attempt.
            let _left_behind = gone(directory, NEXT);
        }
        replaced
    }

    /// Returns whether a file is on the list.
    pub(super) fn has(&self, name: &FileName) -> bool {
        self.names.contains(name)
    }

    /// Returns whether something in the directory itself is on the list: a file, or the folder of one.
    pub(super) fn has_top(&self, top: &str) -> bool {
        self.names.iter().any(|name| name.top() == top)
    }

    /// Returns the names on the list.
    pub(super) fn names(&self) -> impl Iterator<Item = &FileName> {
        self.names.iter()
    }

    /// Returns the folders of the files on the list.
    pub(super) fn folders(&self) -> BTreeSet<&str> {
        self.names.iter().filter_map(FileName::folder).collect()
    }

    /// Returns both lists as one.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self {
            names: self.names.union(&other.names).cloned().collect(),
        }
    }
}

/// Removes a file; that it is not there is no error.
fn gone(directory: &Directory, name: &str) -> Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}
