//! Reads pid files, which are in directories of others.
//!
//! Links on the way are followed only where root or the sink's owner made them (`/var/run` is one), and the file itself is a regular one of root or that owner. So
//! nobody else chooses which of the owner's processes gets the signal.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat, statat};
use rustix::io::Errno;

use super::error::SignalError;

/// The longest pid file: PostgreSQL's has eight lines, of which the first counts.
const LONGEST: u64 = 4_096;

/// The most links on the way: as many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The most parts of a path on the way, links included.
const MOST_PARTS: usize = 512;

/// Returns the number in a pid file.
pub(super) fn read(path: &Path, owner: u32) -> Result<i32, SignalError> {
    let file = open_believed(path, owner)?;
    let mut octets = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST + 1)
        .read_to_end(&mut octets)
        .map_err(|source| SignalError::Read { path: path.to_owned(), source })?;
    if octets.len() as u64 > LONGEST {
        return Err(unbelieved(path, "it is over 4,096 octets long"));
    }
    number(&octets).ok_or_else(|| SignalError::NoNumber { path: path.to_owned() })
}

/// Returns the number in the first line.
fn number(octets: &[u8]) -> Option<i32> {
    let line = octets.split(|octet| *octet == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.trim();
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number > 0)
}

fn open_believed(path: &Path, owner: u32) -> Result<OwnedFd, SignalError> {
    const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let failed = |errno| system(path, errno);
    let mut todo: VecDeque<OsString> = parts(path);
    let (mut links, mut steps) = (0, 0);
    let mut directory = open("/", STEP, Mode::empty()).map_err(failed)?;
    while let Some(name) = todo.pop_front() {
        steps += 1;
        if steps > MOST_PARTS {
            return Err(unbelieved(path, "its path is too long"));
        }
        let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(unbelieved(path, "it leads over too many links"));
                }
                if !is_believed(&stat, owner) {
                    return Err(unbelieved(path, "it leads over a link of somebody other than root and the sink's owner"));
                }
                let target = readlinkat(&directory, &name, Vec::new()).map_err(failed)?;
                let target = OsString::from_vec(target.into_bytes());
                if Path::new(&target).is_absolute() {
                    directory = open("/", STEP, Mode::empty()).map_err(failed)?;
                }
                for part in parts(Path::new(&target)).into_iter().rev() {
                    todo.push_front(part);
                }
            }
            FileType::Directory => directory = openat(&directory, &name, STEP, Mode::empty()).map_err(failed)?,
            FileType::RegularFile if todo.is_empty() => return open_file(&directory, &name, path, owner),
            _ => return Err(unbelieved(path, "it is not a regular file")),
        }
    }
    Err(unbelieved(path, "it is not a regular file"))
}

/// Opens what was a regular file a moment ago, and asks the descriptor again.
fn open_file(directory: &OwnedFd, name: &OsStr, path: &Path, owner: u32) -> Result<OwnedFd, SignalError> {
    // Never waits: neither for a writer of a FIFO, nor for a lease.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty()).map_err(|errno| system(path, errno))?;
    let stat = fstat(&file).map_err(|errno| system(path, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(unbelieved(path, "it is not a regular file"));
    }
    if !is_believed(&stat, owner) {
        return Err(unbelieved(path, "it belongs to somebody other than root and the sink's owner"));
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(unbelieved(path, "everybody may write it"));
    }
    Ok(file)
}

fn is_believed(stat: &Stat, owner: u32) -> bool {
    stat.st_uid == 0 || stat.st_uid == owner
}

/// Returns the parts of a path; what stands for the root or for where one is falls.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn system(path: &Path, errno: Errno) -> SignalError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT => SignalError::NoPidFile { path },
        Errno::LOOP => unbelieved(&path, "it was replaced by a link while it was looked at"),
        errno => SignalError::Read { path, source: errno.into() },
    }
}

fn unbelieved(path: &Path, reason: &'static str) -> SignalError {
    SignalError::Unsafe { path: path.to_owned(), reason }
}
