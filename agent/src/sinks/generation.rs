//! Whole sets of files that replace each other by one rename.

use std::fmt;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fchmod, fsync, mkdirat, openat, readlinkat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::contents::{FEDERATED, File, NAMES};
use super::directory::Directory;
use super::error::SinkError;
use super::ownership::Ownership;

/// The link that leads to the current generation.
const CURRENT: &str = "..data";

/// The link on its way to become [`CURRENT`].
const NEXT: &str = "..data-next";

/// A generation's directory: always `..generation-` and 16 hex digits. Nothing with another name is ever removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Generation(u64);

impl Generation {
    const PREFIX: &'static str = "..generation-";

    fn parse(name: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(name.strip_prefix(Self::PREFIX.as_bytes())?).ok()?;
        let generation = Self(u64::from_str_radix(digits, 16).ok()?);
        (generation.to_string().as_bytes() == name).then_some(generation)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", Self::PREFIX, self.0)
    }
}

/// Removes what a crash left behind: generations that no reader can have found, and a link that never became current.
pub(super) fn recover(directory: &Directory) -> Result<(), SinkError> {
    clean(directory, &[current(directory)?])
}

/// Replaces the whole set of files in a directory. When it fails, what was there before stays, whole.
pub(super) fn publish(directory: &Directory, files: &[File], ownership: &Ownership) -> Result<(), SinkError> {
    let before = current(directory)?;
    check_links(directory)?;
    let next = Generation(generations(directory)?.into_iter().max().map_or(1, |Generation(newest)| newest.wrapping_add(1)));
    // First, not last: on a full disk it may be what was left behind that fills it.
    clean(directory, &[before])?;
    if let Err(error) = write(directory, next, files, ownership).and_then(|()| switch_to(directory, next)) {
        // Best effort: what stays is removed before the next attempt.
        let _left_behind = remove(directory, next);
        return Err(error);
    }
    make_links(directory, files)?;
    sync(directory)?;
    clean(directory, &[Some(next), before])
}

/// Empties the directory of everything that the sink made: all files vanish at once, with the link.
pub(super) fn withdraw(directory: &Directory) -> Result<(), SinkError> {
    if current(directory)?.is_some() {
        unlink(directory, CURRENT)?;
    }
    for name in NAMES {
        if link_state(directory, name)? == LinkState::Ours {
            unlink(directory, name)?;
        }
    }
    clean(directory, &[])?;
    sync(directory)
}

/// Returns the generation that readers see.
fn current(directory: &Directory) -> Result<Option<Generation>, SinkError> {
    match readlinkat(directory, CURRENT, Vec::new()) {
        Ok(target) => match Generation::parse(target.as_bytes()) {
            Some(generation) => Ok(Some(generation)),
            None => Err(SinkError::Foreign {
                path: directory.path_of(CURRENT),
            }),
        },
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::INVAL) => Err(SinkError::Foreign {
            path: directory.path_of(CURRENT),
        }),
        Err(errno) => Err(SinkError::system("reading", &directory.path_of(CURRENT), errno)),
    }
}

/// Writes a generation and syncs all of it; nobody sees it yet.
fn write(directory: &Directory, generation: Generation, files: &[File], ownership: &Ownership) -> Result<(), SinkError> {
    let name = generation.to_string();
    let path = directory.path_of(&name);
    let failed = |action, errno| SinkError::system(action, &path, errno);
    mkdirat(directory, &name, Mode::RWXU).map_err(|errno| failed("making", errno))?;
    let made = open_folder(directory, &name).map_err(|errno| failed("opening", errno))?;
    mkdirat(&made, FEDERATED, Mode::RWXU).map_err(|errno| failed("making a folder in", errno))?;
    for file in files {
        write_file(&made, file, ownership).map_err(|errno| SinkError::system("writing", &path.join(&*file.name), errno))?;
    }
    let federated = open_folder(&made, FEDERATED).map_err(|errno| failed("opening a folder in", errno))?;
    for folder in [federated, made] {
        fchmod(&folder, Mode::from_raw_mode(0o755)).map_err(|errno| failed("setting the mode of", errno))?;
        fsync(&folder).map_err(|errno| failed("syncing", errno))?;
    }
    Ok(())
}

/// Writes one file, private until its owner and mode are set.
fn write_file(generation: &OwnedFd, file: &File, ownership: &Ownership) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut opened = std::fs::File::from(openat(generation, &*file.name, flags, Mode::RUSR | Mode::WUSR)?);
    opened
        .write_all(&file.content)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    ownership.apply(&opened, file.secret)?;
    fsync(&opened)
}

/// Leads readers to a generation, by one rename.
fn switch_to(directory: &Directory, generation: Generation) -> Result<(), SinkError> {
    let failed = |action, errno| SinkError::system(action, &directory.path_of(CURRENT), errno);
    // The generation is durable under its name before anything leads to it.
    sync(directory)?;
    symlinkat(generation.to_string(), directory, NEXT).map_err(|errno| failed("linking", errno))?;
    renameat(directory, NEXT, directory, CURRENT).map_err(|errno| failed("replacing", errno))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Absent,
    Foreign,
    Ours,
}

/// Returns what is in the directory under the name of a delivered file.
fn link_state(directory: &Directory, name: &str) -> Result<LinkState, SinkError> {
    match readlinkat(directory, name, Vec::new()) {
        Ok(target) if target.as_bytes() == format!("{CURRENT}/{name}").as_bytes() => Ok(LinkState::Ours),
        Ok(_) | Err(Errno::INVAL) => Ok(LinkState::Foreign),
        Err(Errno::NOENT) => Ok(LinkState::Absent),
        Err(errno) => Err(SinkError::system("reading", &directory.path_of(name), errno)),
    }
}

/// Refuses to begin when a file that is not ours has one of the names.
fn check_links(directory: &Directory) -> Result<(), SinkError> {
    for name in NAMES {
        if link_state(directory, name)? == LinkState::Foreign {
            return Err(SinkError::Foreign { path: directory.path_of(name) });
        }
    }
    Ok(())
}

/// Makes the links by which readers find single files; they lead through [`CURRENT`] and never change. There is none to a file that the set does not have.
fn make_links(directory: &Directory, files: &[File]) -> Result<(), SinkError> {
    for name in NAMES {
        let wanted = name == FEDERATED || files.iter().any(|file| file.name == name);
        match link_state(directory, name)? {
            LinkState::Absent if wanted => {
                symlinkat(format!("{CURRENT}/{name}"), directory, name).map_err(|errno| SinkError::system("linking", &directory.path_of(name), errno))?;
            }
            LinkState::Ours if !wanted => unlink(directory, name)?,
            LinkState::Absent | LinkState::Foreign | LinkState::Ours => {}
        }
    }
    Ok(())
}

/// Removes every generation but those to keep, and a link that never became current.
fn clean(directory: &Directory, keep: &[Option<Generation>]) -> Result<(), SinkError> {
    match unlinkat(directory, NEXT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(SinkError::system("removing", &directory.path_of(NEXT), errno)),
    }
    for generation in generations(directory)? {
        if !keep.contains(&Some(generation)) {
            remove(directory, generation)?;
        }
    }
    Ok(())
}

fn generations(directory: &Directory) -> Result<Vec<Generation>, SinkError> {
    let failed = |errno| SinkError::system("listing", directory.path(), errno);
    let mut found = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        found.extend(Generation::parse(entry.map_err(failed)?.file_name().to_bytes()));
    }
    Ok(found)
}

/// Removes a generation and the files in it, those of partners too. Any other directory in it is not ours, and is an error.
fn remove(directory: &Directory, generation: Generation) -> Result<(), SinkError> {
    let name = generation.to_string();
    let failed = |errno| SinkError::system("removing", &directory.path_of(&name), errno);
    let opened = match open_folder(directory, &name) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed(errno)),
    };
    match open_folder(&opened, FEDERATED) {
        Ok(federated) => {
            remove_files(&federated).map_err(failed)?;
            unlinkat(&opened, FEDERATED, AtFlags::REMOVEDIR).map_err(failed)?;
        }
        // Killed before it was made, or made by a version without it.
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    remove_files(&opened).map_err(failed)?;
    unlinkat(directory, &name, AtFlags::REMOVEDIR).map_err(failed)
}

fn remove_files(folder: &OwnedFd) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            unlinkat(folder, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

fn open_folder(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn unlink(directory: &Directory, name: &str) -> Result<(), SinkError> {
    unlinkat(directory, name, AtFlags::empty()).map_err(|errno| SinkError::system("removing", &directory.path_of(name), errno))
}

fn sync(directory: &Directory) -> Result<(), SinkError> {
    fsync(directory).map_err(|errno| SinkError::system("syncing", directory.path(), errno))
}

#[cfg(test)]
mod tests;
