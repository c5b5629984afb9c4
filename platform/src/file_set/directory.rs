//! The directory of a set: opened step by step from the root, so that nobody else can have put another in its place.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, Stat, flistxattr, flock, fstat, mkdirat, open};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::beneath::{open_passage, open_step};
use super::error::FileSetError;

/// How often a lock that somebody has is tried, and how long it is waited in between. A process that is being started has a copy of every open file of the one
/// that starts it, locks too, until it runs its own program: a moment after a directory was closed its lock may still be there.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The directory of a set, held open and locked against other writers.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    fd: OwnedFd,
    inode: (u64, u64),
}

impl Directory {
    /// Opens and locks the directory; makes it if only its last part is missing.
    ///
    /// # Errors
    /// When the path is not that of a real directory from the root on, others can write it or one above it, or another has locked it.
    pub fn open(path: &Path) -> Result<Self, FileSetError> {
        Self::lock_opened(path, walk(path, make)?, lock)
    }

    /// Opens and locks a directory that is there, and makes none.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when the directory was removed before it was locked.
    pub fn open_existing(path: &Path) -> Result<Self, FileSetError> {
        Self::lock_opened(path, walk(path, make_nothing)?, lock)?.still_there()
    }

    /// Opens and locks a directory that is there as [`open_existing`](Self::open_existing) does, and does not wait for whoever has it now.
    ///
    /// # Errors
    /// As [`open_existing`](Self::open_existing).
    pub fn open_if_free(path: &Path) -> Result<Self, FileSetError> {
        let at_once = |fd: &OwnedFd| flock(fd, FlockOperation::NonBlockingLockExclusive);
        Self::lock_opened(path, walk(path, make_nothing)?, at_once)?.still_there()
    }

    /// Refuses a directory that somebody removed between the opening and the lock. Who removes only what is locked removes none that passed here.
    fn still_there(self) -> Result<Self, FileSetError> {
        match fstat(&self.fd) {
            Ok(stat) if stat.st_nlink > 0 => Ok(self),
            Ok(_) => Err(FileSetError::system("opening", &self.path, Errno::NOENT)),
            Err(errno) => Err(FileSetError::system("looking at", &self.path, errno)),
        }
    }

    fn lock_opened(path: &Path, fd: OwnedFd, lock: impl FnOnce(&OwnedFd) -> Result<(), Errno>) -> Result<Self, FileSetError> {
        let inode = inode(&fstat(&fd).map_err(|errno| FileSetError::system("looking at", path, errno))?);
        match lock(&fd) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                fd,
                inode,
            }),
            Err(Errno::WOULDBLOCK) => Err(FileSetError::InUse { path: path.to_owned() }),
            Err(errno) => Err(FileSetError::system("locking", path, errno)),
        }
    }

    /// Checks the path again, and opens what is there now if the directory was replaced.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check_again(self) -> Result<Self, FileSetError> {
        let now = walk(&self.path, make)?;
        let stat = fstat(&now).map_err(|errno| FileSetError::system("looking at", &self.path, errno))?;
        if inode(&stat) == self.inode {
            return Ok(self);
        }
        drop(now);
        Self::open(&self.path)
    }

    /// Returns the path of something in the directory, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Opens a directory from the root on; each step is a real directory that others cannot write. What is done where only the last part is missing, `make` says.
fn walk(path: &Path, make: impl Fn(&OwnedFd, &OsStr) -> Result<OwnedFd, Errno>) -> Result<OwnedFd, FileSetError> {
    let names = names(path).ok_or_else(|| FileSetError::NotAbsolute { path: path.to_owned() })?;
    let mut at = PathBuf::from("/");
    let mut fd = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| FileSetError::system("opening", &at, errno))?;
    for (position, name) in names.iter().enumerate() {
        check_parent(&fd, &at)?;
        at.push(name);
        let is_last = position + 1 == names.len();
        let opened = match open_step(&fd, *name) {
            Err(Errno::ACCESS) if !is_last => open_passage(&fd, *name),
            opened => opened,
        };
        fd = match opened {
            Err(Errno::NOENT) if is_last => make(&fd, name).map_err(|errno| FileSetError::system("making", &at, errno))?,
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(FileSetError::NotADirectory { path: at }),
            opened => opened.map_err(|errno| FileSetError::system("opening", &at, errno))?,
        };
    }
    check_target(&fd, &at)?;
    Ok(fd)
}

/// Returns the parts of an absolute path; the root itself is no place for a sink.
pub(super) fn names(path: &Path) -> Option<Vec<&OsStr>> {
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return None;
    }
    let names: Option<Vec<&OsStr>> = components
        .map(|component| if let Component::Normal(name) = component { Some(name) } else { None })
        .collect();
    names.filter(|names| !names.is_empty())
}

fn make(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    open_step(parent, name)
}

fn make_nothing(_parent: &OwnedFd, _name: &OsStr) -> Result<OwnedFd, Errno> {
    Err(Errno::NOENT)
}

/// Refuses a parent in which others could rename what leads to the sink. In a sticky directory, as `/tmp`, they cannot: what is ours stays.
fn check_parent(fd: &OwnedFd, path: &Path) -> Result<(), FileSetError> {
    const STICKY: u32 = 0o1000;
    check(fd, path, |mode| mode & STICKY != 0)
}

/// Refuses a directory in which others could put things beside ours.
fn check_target(fd: &OwnedFd, path: &Path) -> Result<(), FileSetError> {
    check(fd, path, |_mode| false)
}

fn check(fd: &OwnedFd, path: &Path, may_be_shared: impl FnOnce(u32) -> bool) -> Result<(), FileSetError> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let stat = fstat(fd).map_err(|errno| FileSetError::system("looking at", path, errno))?;
    let refused = |reason| Err(FileSetError::DirectoryUnsafe { path: path.to_owned(), reason });
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        return refused(format!("it belongs to uid {}", stat.st_uid));
    }
    if stat.st_mode & WRITABLE_BY_OTHERS != 0 && !may_be_shared(stat.st_mode) {
        return refused(format!("its mode is {:04o}{}", stat.st_mode & 0o7777, access_list(fd)));
    }
    Ok(())
}

/// Says so when a directory has an access control list: the group's bits of its mode are the most that the list gives to anybody then (acl(5)), so a list that
/// lets others write is refused by the mode, and whom it lets is seen with getfacl only.
fn access_list(fd: &OwnedFd) -> &'static str {
    const LIST: &[u8] = b"system.posix_acl_access";
    let mut names = [0_u8; 4_096];
    let listed = flistxattr(fd, &mut names).unwrap_or(0);
    let has_list = names
        .get(..listed)
        .is_some_and(|names| names.split(|octet| *octet == 0).any(|name| name == LIST));
    if has_list {
        ", and it has an access control list: getfacl shows it"
    } else {
        ""
    }
}

fn lock(directory: &OwnedFd) -> Result<(), Errno> {
    for _ in 1..LOCK_TRIES {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            locked => return locked,
        }
    }
    flock(directory, FlockOperation::NonBlockingLockExclusive)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_its_last_part_is_made() {
        let root = tempfile::tempdir().unwrap();
        Directory::open(&root.path().join("sink")).unwrap();
        assert!(root.path().join("sink").is_dir());
        assert!(matches!(Directory::open(&root.path().join("a/b")), Err(FileSetError::System { .. })));
        assert!(!root.path().join("a").exists());
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_anywhere_on_the_path() {
        let root = tempfile::tempdir().unwrap();
        let (parent, sink) = (root.path().join("parent"), root.path().join("parent/sink"));
        std::fs::create_dir_all(&sink).unwrap();
        for (name, path, mode, accepted) in [
            ("parent of everybody", &parent, 0o777, false),
            ("parent of a group", &parent, 0o775, false),
            ("sticky parent", &parent, 0o1777, true),
            ("sink of everybody", &sink, 0o777, false),
            ("sticky sink", &sink, 0o1777, false),
            ("sink of a group", &sink, 0o770, false),
            ("readable sink", &sink, 0o755, true),
        ] {
            set_mode(path, mode);
            let opened = Directory::open(&sink);
            assert_eq!(opened.is_ok(), accepted, "{name}: {opened:?}");
            if let Err(error) = opened {
                assert!(
                    matches!(&error, FileSetError::DirectoryUnsafe { path: named, .. } if named == path),
                    "{name}: {error}"
                );
            }
            set_mode(path, 0o755);
        }
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let sink = root.path().join("sink");
        std::fs::create_dir(&sink).unwrap();
        std::os::unix::fs::chown(&sink, Some(12_345), None).unwrap();
        let error = Directory::open(&sink).unwrap_err();
        assert!(error.to_string().contains("it belongs to uid 12345"), "{error}");
    }

    #[test]
    fn links_and_relative_paths_are_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("real/sink")).unwrap();
        symlink(root.path().join("real"), root.path().join("link")).unwrap();
        symlink(root.path().join("real/sink"), root.path().join("sink-link")).unwrap();
        for path in ["link/sink", "sink-link"] {
            assert!(
                matches!(Directory::open(&root.path().join(path)), Err(FileSetError::NotADirectory { .. })),
                "{path}"
            );
        }
        for path in ["sink", "/", "", "/tmp/../etc"] {
            assert!(matches!(Directory::open(Path::new(path)), Err(FileSetError::NotAbsolute { .. })), "{path:?}");
        }
    }

    #[test]
    fn two_sinks_never_share_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sink");
        let first = Directory::open(&path).unwrap();
        assert!(matches!(Directory::open(&path), Err(FileSetError::InUse { .. })));
        let first = first.check_again().unwrap();
        drop(first);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn a_directory_that_is_missing_or_was_removed_is_not_made_where_one_is_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sink");
        for open in [Directory::open_existing, Directory::open_if_free] {
            assert!(open(&path).is_err() && !path.exists());
            std::fs::create_dir(&path).unwrap();
            let opened = walk(&path, make_nothing).unwrap();
            std::fs::remove_dir(&path).unwrap();
            assert!(Directory::lock_opened(&path, opened, lock).unwrap().still_there().is_err());
            std::fs::create_dir(&path).unwrap();
            drop(open(&path).unwrap());
            std::fs::remove_dir(&path).unwrap();
        }
    }

    #[test]
    fn a_directory_that_was_replaced_is_opened_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sink");
        let first = Directory::open(&path).unwrap();
        std::fs::rename(&path, root.path().join("moved")).unwrap();
        let before = first.inode;
        let second = first.check_again().unwrap();
        assert_ne!(second.inode, before);
        assert!(path.is_dir());
    }
}
