//! One step down from an open directory, through no link.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::path::Arg;

/// How a directory is opened: a fifo, a socket or a device under its name is an error at once, and nothing waits.
const STEP: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory that has this name, one part, in another.
///
/// With openat2(2) where there is one. Where there is none, in kernels before 5.6 and in sandboxes that cannot look into its argument (`RestrictSUIDSGID=` of
/// systemd), the same holds of one part with O_NOFOLLOW: there is no other link on the way.
///
/// # Errors
/// As of the system call; a link is ELOOP or ENOTDIR, and a name of several parts EINVAL.
pub(super) fn open_step(directory: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    open_as(directory, name, STEP)
}

/// Opens a directory to go through only: one that may be searched and not listed, as homes are.
///
/// # Errors
/// As [`open_step`].
pub(super) fn open_passage(directory: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    open_as(directory, name, STEP | OFlags::PATH)
}

fn open_as(directory: impl AsFd, name: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    name.into_with_c_str(|name| {
        if name.to_bytes().contains(&b'/') || name.to_bytes() == b".." {
            return Err(Errno::INVAL);
        }
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
        match openat2(directory.as_fd(), name, flags, Mode::empty(), resolve) {
            // EPERM: how sandboxes refuse; if it is the file's, the second call says it again. EAGAIN: a name changed meanwhile.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => openat(directory.as_fd(), name, flags, Mode::empty()),
            opened => opened,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_step_leads_to_a_directory_in_this_one_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        symlink("/etc", root.path().join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        let at = std::fs::File::open(root.path()).unwrap();
        open_step(&at, "a").unwrap();
        open_step(&at, ".").unwrap();
        for wrong in ["link", "fifo", "..", "a/b", "/etc", "absent"] {
            assert!(open_step(&at, wrong).is_err() && open_passage(&at, wrong).is_err(), "{wrong}");
        }
    }
}
