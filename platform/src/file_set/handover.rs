//! The directory of another user's set: what only root can do for it, in directories that only root can write.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchown, fstat, mkdirat, open};
use rustix::io::Errno;

use super::beneath::open_step;
use super::directory::{Directory, names};
use super::error::FileSetError;
use super::generation;
use crate::privilege::Identity;

/// Makes the directory of a set for its owner if only its last part is missing, and hands over one in which a set of ours lies that is root's.
///
/// It goes down from the root only through directories that root alone can write, and stops before the first that is another's: from there on the owner's
/// own process goes, with the owner's rights, and says what is wrong. An empty directory of root's stays root's: somebody may have mistyped its name.
///
/// # Errors
/// When the system refuses what root may do: a full disk, a file system that is read-only.
pub fn prepare_for(path: &Path, owner: Identity) -> Result<(), FileSetError> {
    let Some(names) = names(path) else { return Ok(()) };
    let Some((last, above)) = names.split_last() else { return Ok(()) };
    let failed = |errno| FileSetError::system("making", path, errno);
    let mut fd = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    for name in above {
        let true = only_root_decides(&fd).map_err(failed)? else { return Ok(()) };
        let Ok(next) = open_step(&fd, *name) else { return Ok(()) };
        fd = next;
    }
    let true = only_root_decides(&fd).map_err(failed)? else { return Ok(()) };
    match open_step(&fd, *last) {
        Err(Errno::NOENT) => make(&fd, last, owner).map_err(failed),
        Ok(there) if is_roots(&there).map_err(failed)? => hand_over(path, owner),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns whether what has a name in this directory is root's to decide: it is root's, and others cannot write it or cannot rename what is root's in it.
fn only_root_decides(directory: &OwnedFd) -> Result<bool, Errno> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let stat = fstat(directory)?;
    Ok(stat.st_uid == 0 && (stat.st_mode & WRITABLE_BY_OTHERS == 0 || stat.st_mode & STICKY != 0))
}

fn is_roots(directory: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstat(directory)?.st_uid == 0)
}

fn make(parent: &OwnedFd, name: &OsStr, owner: Identity) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        // Somebody else did, in a sticky directory: it is the owner's process that looks whose it is.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    give(&open_step(parent, name)?, owner)
}

/// Gives a directory to its owner in which a set lies that was put there before owners had processes of their own. The directory last: until then nobody but
/// root can have changed what is in it.
fn hand_over(path: &Path, owner: Identity) -> Result<(), FileSetError> {
    let Ok(directory) = Directory::open(path) else { return Ok(()) };
    let Ok(true) = generation::open_current(&directory).map(|current| current.is_some()) else {
        return Ok(());
    };
    let failed = |errno| FileSetError::system("handing over", path, errno);
    for folder in generation::folders(&directory)? {
        give(&folder, owner).map_err(failed)?;
    }
    give(&directory, owner).map_err(failed)
}

fn give(directory: impl std::os::fd::AsFd, owner: Identity) -> Result<(), Errno> {
    // Where only root decides, nobody else can have replaced it since it was made or looked at.
    fchown(directory, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}
