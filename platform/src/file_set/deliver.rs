//! A set that shall be in place, and stay as it is.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use trust_domains::delivery::{FileName, SetFile};
use zeroize::Zeroizing;

use super::directory::Directory;
use super::error::FileSetError;
use super::layout::Layout;
use super::manifest::Manifest;
use super::ownership::{Applied, Ownership};
use super::set_folder::{mend_file, read_file};
use super::{generation, single_files};

/// What had to be done so that a set is in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Owner or mode of a file was set again; somebody had changed it.
    Mended,
    /// The set was put in place.
    Published,
    /// Nothing: the set is there, with the owner and the modes that it should have.
    Unchanged,
}

/// Puts a set in place unless it is there already; sets owner and modes again where only those were changed. So it may be called often.
///
/// # Errors
/// As [`Layout::publish`]; what was there before stays.
pub fn deliver(directory: &Directory, layout: Layout, files: &[SetFile], ownership: &Ownership) -> Result<Delivery, FileSetError> {
    match mend(directory, layout, files, ownership) {
        Ok(Some(Applied::Again)) => Ok(Delivery::Mended),
        Ok(Some(Applied::Before)) => Ok(Delivery::Unchanged),
        // What cannot be looked at is replaced; if that cannot be done either, publishing says why.
        Ok(None) | Err(_) => layout.publish(directory, files, ownership).map(|()| Delivery::Published),
    }
}

/// Empties the directory of everything that was put there, in either layout.
///
/// # Errors
/// When what is there was not made by [`deliver`], or a call of the system fails.
pub fn withdraw(directory: &Directory) -> Result<(), FileSetError> {
    generation::withdraw(directory)?;
    single_files::withdraw(directory)
}

/// Removes what a crash left behind, and nothing that readers can have found.
///
/// # Errors
/// As [`withdraw`].
pub fn recover(directory: &Directory) -> Result<(), FileSetError> {
    generation::recover(directory)?;
    single_files::recover(directory)
}

/// Reads a file of the set that is in place, in either layout; `None` without one. Only of what is small: it reads no more than 64 KiB.
///
/// # Errors
/// When what is there was not made by [`deliver`], or a call of the system fails.
pub fn read(directory: &Directory, name: &FileName) -> Result<Option<Zeroizing<Vec<u8>>>, FileSetError> {
    const MOST: u64 = 64 * 1024;
    let failed = |errno| FileSetError::system("reading", &directory.path_of(name.as_str()), errno);
    let Some(root) = root_of(directory, name)? else { return Ok(None) };
    let read = match open_folder_of(&root, name) {
        Ok(folder) => read_file(&folder, name.base(), MOST),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    };
    read.map(|read| read.map(|(_, content)| content)).map_err(failed)
}

/// Returns the directory in which a file of ours has its name: the generation, or the directory itself.
fn root_of(directory: &Directory, name: &FileName) -> Result<Option<OwnedFd>, FileSetError> {
    if let Some(root) = generation::open_current(directory)? {
        return Ok(Some(root));
    }
    let is_single = Manifest::read(directory)?.has(name);
    let cloned = || {
        directory
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let opened = is_single.then(cloned).transpose();
    opened.map_err(|errno| FileSetError::system("opening", directory.path(), errno))
}

fn open_folder_of(root: &OwnedFd, name: &FileName) -> Result<OwnedFd, Errno> {
    generation::open_folder(root, name.folder().unwrap_or("."))
}

/// Sets owner and modes again if the set is in place and nothing more; `None` when it is another, or not there.
fn mend(directory: &Directory, layout: Layout, files: &[SetFile], ownership: &Ownership) -> Result<Option<Applied>, FileSetError> {
    let (current, singles) = (generation::open_current(directory)?, Manifest::read(directory)?);
    let root = match (layout, current) {
        (Layout::Linked, Some(root)) if singles == Manifest::default() && generation::holds(directory, &root, files)? => root,
        (Layout::SingleFiles, None) if singles == Manifest::of(files) => {
            generation::open_folder(directory, ".").map_err(|errno| FileSetError::system("opening", directory.path(), errno))?
        }
        _ => return Ok(None),
    };
    let mut applied = Applied::Before;
    for file in files {
        let failed = |errno| FileSetError::system("looking at", &directory.path_of(file.name.as_str()), errno);
        let folder = open_folder_of(&root, &file.name).map_err(failed)?;
        match mend_file(&folder, file.name.base(), file, ownership).map_err(failed)? {
            None => return Ok(None),
            Some(Applied::Again) => applied = Applied::Again,
            Some(Applied::Before) => {}
        }
    }
    let folders: BTreeSet<&str> = files.iter().filter_map(|file| file.name.folder()).collect();
    for folder in folders {
        let opened = generation::open_folder(&root, folder).and_then(|opened| super::ownership::open_to_readers(&opened));
        if opened.map_err(|errno| FileSetError::system("looking at", &directory.path_of(folder), errno))? == Applied::Again {
            applied = Applied::Again;
        }
    }
    Ok(Some(applied))
}

#[cfg(test)]
mod tests;
