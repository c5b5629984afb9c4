//! Sets whose files are replaced one by one.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fsync, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use trust_domains::delivery::{FileName, SetFile};

use super::directory::Directory;
use super::error::FileSetError;
use super::generation;
use super::manifest::Manifest;
use super::ownership::{Ownership, open_to_readers};
use super::set_folder::write_file;

/// A file on its way to become one of the set, in the folder in which it will be: this and a number. No file of a set has such a name.
const NEXT: &str = "..next~";

/// Replaces each file of the set, in the order given, after all of them are written and synced under other names.
pub(super) fn publish(directory: &Directory, files: &[SetFile], ownership: &Ownership) -> Result<(), FileSetError> {
    let (before, next) = (Manifest::read(directory)?, Manifest::of(files));
    check_names(directory, files, &before)?;
    let all = before.with(&next);
    // First, not last: on a full disk it may be what was left behind that fills it.
    clean(directory, &before)?;
    if all != before {
        all.write(directory)?;
    }
    if let Err(error) = write(directory, files, ownership) {
        // Best effort: what stays is removed before the next attempt.
        let _left_behind = clean(directory, &all);
        return Err(error);
    }
    for (number, file) in files.iter().enumerate() {
        switch(directory, number, &file.name)?;
    }
    for name in before.names().filter(|name| !next.has(name)) {
        remove(directory, name)?;
    }
    finish(directory, &all, &next)?;
    // What the directory held in the other layout.
    generation::withdraw(directory)
}

/// Removes every file that [`publish`] made.
pub(super) fn withdraw(directory: &Directory) -> Result<(), FileSetError> {
    let before = Manifest::read(directory)?;
    clean(directory, &before)?;
    for name in before.names() {
        remove(directory, name)?;
    }
    finish(directory, &before, &Manifest::default())
}

/// Removes what a crash left behind: files that never got their names.
pub(super) fn recover(directory: &Directory) -> Result<(), FileSetError> {
    clean(directory, &Manifest::read(directory)?)
}

/// Refuses to begin when something that is not ours has one of the names.
fn check_names(directory: &Directory, files: &[SetFile], before: &Manifest) -> Result<(), FileSetError> {
    for name in files.iter().map(|file| &file.name) {
        let top = name.top();
        if before.has_top(top) || generation::is_link_of_ours(directory, top)? {
            continue;
        }
        match statat(directory, top, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(FileSetError::Foreign { path: directory.path_of(top) }),
            Err(errno) => return Err(FileSetError::system("looking at", &directory.path_of(top), errno)),
        }
    }
    Ok(())
}

/// Writes all files under other names and syncs them; nobody sees them yet.
fn write(directory: &Directory, files: &[SetFile], ownership: &Ownership) -> Result<(), FileSetError> {
    for (number, file) in files.iter().enumerate() {
        let written = match file.name.folder() {
            None => write_file(directory, &next(number), file, ownership),
            Some(folder) => make_folder(directory, folder)
                .map_err(|errno| FileSetError::system("making", &directory.path_of(folder), errno))
                .map(|folder| write_file(&folder, &next(number), file, ownership))?,
        };
        written.map_err(|errno| FileSetError::system("writing", &directory.path_of(file.name.as_str()), errno))?;
    }
    Ok(())
}

/// Gives a file that is written its name, by one rename.
fn switch(directory: &Directory, number: usize, name: &FileName) -> Result<(), FileSetError> {
    let renamed = match name.folder() {
        None => renameat(directory, next(number), directory, name.base()),
        Some(folder) => generation::open_folder(directory, folder).and_then(|folder| renameat(&folder, next(number), &folder, name.base())),
    };
    renamed.map_err(|errno| FileSetError::system("replacing", &directory.path_of(name.as_str()), errno))
}

fn next(number: usize) -> String {
    format!("{NEXT}{number}")
}

/// Opens a folder of files, made if it is not there. A link of the other layout makes way for it.
fn make_folder(directory: &Directory, name: &str) -> Result<OwnedFd, Errno> {
    let is_link = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
    if is_link {
        unlinkat(directory, name, AtFlags::empty())?;
    }
    match mkdirat(directory, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = generation::open_folder(directory, name)?;
    open_to_readers(&folder)?;
    Ok(folder)
}

/// Removes one file of ours; that it is gone already is no error.
fn remove(directory: &Directory, name: &FileName) -> Result<(), FileSetError> {
    let removed = match name.folder() {
        None => unlinkat(directory, name.base(), AtFlags::empty()),
        Some(folder) => generation::open_folder(directory, folder).and_then(|folder| unlinkat(&folder, name.base(), AtFlags::empty())),
    };
    match removed {
        // A folder that is a link by now is that of the other layout.
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(errno) => Err(FileSetError::system("removing", &directory.path_of(name.as_str()), errno)),
    }
}

/// Syncs every folder of either list, removes those that are empty, and makes the second the list of what is here.
fn finish(directory: &Directory, all: &Manifest, next: &Manifest) -> Result<(), FileSetError> {
    for folder in all.folders() {
        let failed = |errno| FileSetError::system("syncing", &directory.path_of(folder), errno);
        match generation::open_folder(directory, folder) {
            Ok(opened) => fsync(&opened).map_err(failed)?,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(failed(errno)),
        }
        if !next.folders().contains(folder) {
            // Something else in it keeps it.
            match unlinkat(directory, folder, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
    fsync(directory).map_err(|errno| FileSetError::system("syncing", directory.path(), errno))?;
    if all == next { Ok(()) } else { next.write(directory) }
}

/// Removes files that never got their names.
fn clean(directory: &Directory, ours: &Manifest) -> Result<(), FileSetError> {
    let failed = |errno| FileSetError::system("removing what was left in", directory.path(), errno);
    remove_unnamed(&openat(directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?).map_err(failed)?;
    for folder in ours.folders() {
        match generation::open_folder(directory, folder) {
            Ok(folder) => remove_unnamed(&folder).map_err(failed)?,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

fn remove_unnamed(folder: &OwnedFd) -> Result<(), Errno> {
    let mut unnamed = BTreeSet::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.strip_prefix(NEXT));
        unnamed.extend(number.and_then(|number| number.parse::<usize>().ok()).map(next));
    }
    for name in unnamed {
        match unlinkat(folder, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
