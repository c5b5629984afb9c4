//! Single files in an open folder: written, compared, read.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, fstat, fsync, openat};
use rustix::io::Errno;
use trust_domains::delivery::SetFile;
use zeroize::Zeroizing;

use super::ownership::{Applied, Ownership};

/// Writes one file under a name that nothing has, private until its owner and mode are set, and syncs it.
pub(super) fn write_file(folder: impl AsFd, name: &str, file: &SetFile, ownership: &Ownership) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut opened = std::fs::File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    opened.write_all(&file.content).map_err(|error| errno_of(&error))?;
    ownership.apply(&opened, file.secret)?;
    fsync(&opened)
}

/// Sets owner and mode of a file again if that is all that is wrong with it; `None` when it is not there or holds something else.
pub(super) fn mend_file(folder: impl AsFd, name: &str, file: &SetFile, ownership: &Ownership) -> Result<Option<Applied>, Errno> {
    // One octet more than it should have shows a longer file.
    let limit = file.content.len() as u64 + 1;
    let Some((opened, content)) = read_file(folder, name, limit)? else {
        return Ok(None);
    };
    if content != file.content {
        return Ok(None);
    }
    ownership.apply_if_changed(&opened, file.secret).map(Some)
}

/// A file, and what is in it.
type Opened = (std::fs::File, Zeroizing<Vec<u8>>);

/// Reads at most so many octets of a file; `None` when there is none, or what has its name is no file.
pub(super) fn read_file(folder: impl AsFd, name: &str, limit: u64) -> Result<Option<Opened>, Errno> {
    // Something else under that name must not make the reader wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = match openat(folder, name, flags, Mode::empty()) {
        Ok(opened) => std::fs::File::from(opened),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let stat = fstat(&opened)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    // Reserved at once: a list that grows leaves copies behind.
    let size = u64::try_from(stat.st_size).unwrap_or(0).min(limit);
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    (&opened).take(limit).read_to_end(&mut content).map_err(|error| errno_of(&error))?;
    Ok(Some((opened, content)))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
