//! Files that hold a secret: only their owner may read them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::key_source::KeySourceError;
use crate::files::{self, FileError};
use crate::process::effective_uid;

/// Bits of a mode that nobody's secret file has: it is neither a program nor anybody else's.
const OPEN_TO_OTHERS: u32 = 0o177;

/// Bits of a mode that a file from systemd must not have. It may be readable by a group: an access list shows its mask there.
const OPEN_BEYOND_AN_ACCESS_LIST: u32 = 0o137;

/// Who may read a secret file, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner.
    Owner,
    /// Its owner, and those of an access list that systemd made.
    OwnerAndAccessList,
}

/// Opens a file that is there, belongs to this process or to root, and is closed to others.
pub(crate) fn open(path: &Path, readers: Readers) -> Result<File, KeySourceError> {
    // Not to be held up by a pipe that stands in for the file.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(KeySourceError::Missing { path: path.to_owned() }),
        Err(source) => return Err(unusable("open", path, source)),
    };
    check_private(&file, path, readers)?;
    Ok(file)
}

/// Reads such a file of at most `limit` octets.
pub(crate) fn read(path: &Path, readers: Readers, limit: usize) -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
    let file = open(path, readers)?;
    files::read_secret_from(file, path, limit).map_err(|error| match error {
        FileError::TooLong { path, .. } => KeySourceError::Malformed { path },
        other => other.into(),
    })
}

/// Looks at the file that was opened, not at its name, which may mean another by now.
fn check_private(file: &File, path: &Path, readers: Readers) -> Result<(), KeySourceError> {
    let metadata = file.metadata().map_err(|source| unusable("look at", path, source))?;
    if !metadata.is_file() {
        return Err(KeySourceError::Malformed { path: path.to_owned() });
    }
    let own = effective_uid();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(KeySourceError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            own,
        });
    }
    let mode = metadata.mode() & 0o7777;
    let forbidden = match readers {
        Readers::Owner => OPEN_TO_OTHERS,
        Readers::OwnerAndAccessList => OPEN_BEYOND_AN_ACCESS_LIST,
    };
    if mode & forbidden != 0 {
        return Err(KeySourceError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

fn unusable(action: &'static str, path: &Path, source: std::io::Error) -> KeySourceError {
    let path = path.to_owned();
    FileError::Io { action, path, source }.into()
}
