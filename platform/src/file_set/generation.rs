//! Whole sets of files that replace each other by one rename.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fsync, mkdirat, openat, readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use trust_domains::delivery::SetFile;

use super::directory::Directory;
use super::error::FileSetError;
use super::manifest::Manifest;
use super::ownership::{Ownership, open_to_readers};
use super::set_folder::write_file;
use super::single_files;

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
///
/// # Errors
/// When the directory cannot be read or changed, or its current set is not one that [`publish`] made.
pub(super) fn recover(directory: &Directory) -> Result<(), FileSetError> {
    clean(directory, &[current(directory)?])
}

/// Replaces the whole set of files in a directory. When it fails, what was there before stays, whole.
///
/// # Errors
/// When something that it did not make has one of the names, or a call of the system fails: a full disk, a file system that is read-only.
pub(super) fn publish(directory: &Directory, files: &[SetFile], ownership: &Ownership) -> Result<(), FileSetError> {
    let before = current(directory)?;
    let singles = Manifest::read(directory)?;
    check_links(directory, files, &singles)?;
    let next = Generation(generations(directory)?.into_iter().max().map_or(1, |Generation(newest)| newest.wrapping_add(1)));
    // First, not last: on a full disk it may be what was left behind that fills it.
    clean(directory, &[before])?;
    if let Err(error) = write(directory, next, files, ownership).and_then(|()| switch_to(directory, next)) {
        // Best effort: what stays is removed before the next attempt.
        let _left_behind = remove(directory, next);
        return Err(error);
    }
    if singles != Manifest::default() {
        // What the directory held in the other layout has the names of the links.
        single_files::withdraw(directory)?;
    }
    make_links(directory, files)?;
    sync(directory)?;
    clean(directory, &[Some(next), before])
}

/// Empties the directory of everything that [`publish`] made, whatever sets it held: all files vanish at once, with the link.
///
/// # Errors
/// When its current set is not one that [`publish`] made, or a call of the system fails.
pub(super) fn withdraw(directory: &Directory) -> Result<(), FileSetError> {
    if current(directory)?.is_some() {
        unlink(directory, CURRENT)?;
    }
    for name in links(directory)? {
        unlink(directory, &name)?;
    }
    clean(directory, &[])?;
    sync(directory)
}

/// Returns the generation that readers see.
fn current(directory: &Directory) -> Result<Option<Generation>, FileSetError> {
    match readlinkat(directory, CURRENT, Vec::new()) {
        Ok(target) => match Generation::parse(target.as_bytes()) {
            Some(generation) => Ok(Some(generation)),
            None => Err(FileSetError::Foreign {
                path: directory.path_of(CURRENT),
            }),
        },
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::INVAL) => Err(FileSetError::Foreign {
            path: directory.path_of(CURRENT),
        }),
        Err(errno) => Err(FileSetError::system("reading", &directory.path_of(CURRENT), errno)),
    }
}

/// Opens the generation that readers see, if there is one.
pub(super) fn open_current(directory: &Directory) -> Result<Option<OwnedFd>, FileSetError> {
    let Some(generation) = current(directory)? else { return Ok(None) };
    let name = generation.to_string();
    match open_folder(directory, &name) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(FileSetError::system("opening", &directory.path_of(&name), errno)),
    }
}

/// Returns whether a generation holds files of these names and no others, and the links to it are there.
pub(super) fn holds(directory: &Directory, generation: &OwnedFd, files: &[SetFile]) -> Result<bool, FileSetError> {
    let links = links(directory)?;
    let wanted: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let present = names_in(generation).map_err(|errno| FileSetError::system("listing", &directory.path_of(CURRENT), errno))?;
    Ok(links.iter().map(String::as_str).eq(tops(files)) && present.iter().map(String::as_str).eq(wanted))
}

/// Returns whether something in the directory is a link through [`CURRENT`].
pub(super) fn is_link_of_ours(directory: &Directory, name: &str) -> Result<bool, FileSetError> {
    link_state(directory, name).map(|state| state == LinkState::Ours)
}

/// Lists the files of a generation, those in its folders too.
fn names_in(generation: &OwnedFd) -> Result<BTreeSet<String>, Errno> {
    let mut names = BTreeSet::new();
    for (name, kind) in entries(generation)? {
        if kind != FileType::Directory {
            names.insert(name);
            continue;
        }
        let inner = open_folder(generation, &name)?;
        names.extend(entries(&inner)?.into_iter().map(|(file, _)| format!("{name}/{file}")));
    }
    Ok(names)
}

fn entries(folder: &OwnedFd) -> Result<Vec<(String, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "." | "..") {
            let stat = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            found.push((name, FileType::from_raw_mode(stat.st_mode)));
        }
    }
    Ok(found)
}

/// Writes a generation and syncs all of it; nobody sees it yet.
fn write(directory: &Directory, generation: Generation, files: &[SetFile], ownership: &Ownership) -> Result<(), FileSetError> {
    let name = generation.to_string();
    let path = directory.path_of(&name);
    let failed = |action, errno| FileSetError::system(action, &path, errno);
    mkdirat(directory, &name, Mode::RWXU).map_err(|errno| failed("making", errno))?;
    let made = open_folder(directory, &name).map_err(|errno| failed("opening", errno))?;
    let folders: BTreeSet<&str> = files.iter().filter_map(|file| file.name.folder()).collect();
    for folder in &folders {
        mkdirat(&made, *folder, Mode::RWXU).map_err(|errno| failed("making a folder in", errno))?;
    }
    for file in files {
        write_file(&made, file.name.as_str(), file, ownership).map_err(|errno| FileSetError::system("writing", &path.join(file.name.as_str()), errno))?;
    }
    for folder in folders {
        let folder = open_folder(&made, folder).map_err(|errno| failed("opening a folder in", errno))?;
        finish_folder(&folder).map_err(|errno| failed("finishing a folder in", errno))?;
    }
    finish_folder(&made).map_err(|errno| failed("finishing", errno))
}

/// Lets readers into a folder whose files are complete, and syncs it.
fn finish_folder(folder: &OwnedFd) -> Result<(), Errno> {
    open_to_readers(folder)?;
    fsync(folder)
}

/// Leads readers to a generation, by one rename.
fn switch_to(directory: &Directory, generation: Generation) -> Result<(), FileSetError> {
    let failed = |action, errno| FileSetError::system(action, &directory.path_of(CURRENT), errno);
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
fn link_state(directory: &Directory, name: &str) -> Result<LinkState, FileSetError> {
    match readlinkat(directory, name, Vec::new()) {
        Ok(target) if target.as_bytes() == format!("{CURRENT}/{name}").as_bytes() => Ok(LinkState::Ours),
        Ok(_) | Err(Errno::INVAL) => Ok(LinkState::Foreign),
        Err(Errno::NOENT) => Ok(LinkState::Absent),
        Err(errno) => Err(FileSetError::system("reading", &directory.path_of(name), errno)),
    }
}

/// Refuses to begin when a file that is not ours has one of the names.
fn check_links(directory: &Directory, files: &[SetFile], singles: &Manifest) -> Result<(), FileSetError> {
    for name in tops(files).into_iter().filter(|name| !singles.has_top(name)) {
        if link_state(directory, name)? == LinkState::Foreign {
            return Err(FileSetError::Foreign { path: directory.path_of(name) });
        }
    }
    Ok(())
}

/// Makes the links by which readers find single files; they lead through [`CURRENT`] and never change. There is none to a file that the set does not have.
fn make_links(directory: &Directory, files: &[SetFile]) -> Result<(), FileSetError> {
    let (wanted, present) = (tops(files), links(directory)?);
    for name in present.iter().filter(|name| !wanted.contains(String::as_str(name))) {
        unlink(directory, name)?;
    }
    for name in wanted.into_iter().filter(|name| !present.contains(*name)) {
        symlinkat(format!("{CURRENT}/{name}"), directory, name).map_err(|errno| FileSetError::system("linking", &directory.path_of(name), errno))?;
    }
    Ok(())
}

/// Returns what stands in the directory itself: files, and folders of files.
fn tops(files: &[SetFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.name.top()).collect()
}

/// Returns the names of all links through [`CURRENT`]: of this set, and of earlier ones. Each leads to what has its own name; that makes it ours.
fn links(directory: &Directory) -> Result<BTreeSet<String>, FileSetError> {
    let failed = |errno| FileSetError::system("listing", directory.path(), errno);
    let mut found = BTreeSet::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(entry.file_type(), FileType::Symlink | FileType::Unknown) && link_state(directory, name)? == LinkState::Ours {
            found.insert(name.to_owned());
        }
    }
    Ok(found)
}

/// Removes every generation but those to keep, and a link that never became current.
fn clean(directory: &Directory, keep: &[Option<Generation>]) -> Result<(), FileSetError> {
    match unlinkat(directory, NEXT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(FileSetError::system("removing", &directory.path_of(NEXT), errno)),
    }
    for generation in generations(directory)? {
        if !keep.contains(&Some(generation)) {
            remove(directory, generation)?;
        }
    }
    Ok(())
}

fn generations(directory: &Directory) -> Result<Vec<Generation>, FileSetError> {
    let failed = |errno| FileSetError::system("listing", directory.path(), errno);
    let mut found = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        found.extend(Generation::parse(entry.map_err(failed)?.file_name().to_bytes()));
    }
    Ok(found)
}

/// Removes a generation, the files in it and the folders of files. A folder in a folder is not ours, and is an error.
fn remove(directory: &Directory, generation: Generation) -> Result<(), FileSetError> {
    let name = generation.to_string();
    let failed = |errno| FileSetError::system("removing", &directory.path_of(&name), errno);
    let opened = match open_folder(directory, &name) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed(errno)),
    };
    for folder in remove_files(&opened).map_err(failed)? {
        let inner = open_folder(&opened, &folder).map_err(failed)?;
        if !remove_files(&inner).map_err(failed)?.is_empty() {
            return Err(failed(Errno::NOTEMPTY));
        }
        unlinkat(&opened, &folder, AtFlags::REMOVEDIR).map_err(failed)?;
    }
    unlinkat(directory, &name, AtFlags::REMOVEDIR).map_err(failed)
}

/// Removes the files of a folder, and returns what is none: the folders in it.
fn remove_files(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) => folders.push(name.to_owned()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(folders)
}

/// Opens a real directory in another.
pub(super) fn open_folder(directory: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn unlink(directory: &Directory, name: &str) -> Result<(), FileSetError> {
    unlinkat(directory, name, AtFlags::empty()).map_err(|errno| FileSetError::system("removing", &directory.path_of(name), errno))
}

fn sync(directory: &Directory) -> Result<(), FileSetError> {
    fsync(directory).map_err(|errno| FileSetError::system("syncing", directory.path(), errno))
}

#[cfg(test)]
mod tests;
