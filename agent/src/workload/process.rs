//! One process of this machine, held by a pidfd, and what it looks like at a moment.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use platform::exit::Exit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::attestor::AttestError;
use super::proc_status::{Credentials, StartTime, parse_credentials, parse_start_time};

/// The most of one `/proc` file that is read. `status` holds up to 65,536 supplementary groups of up to 11 characters.
const MAX_PROC_FILE: u64 = 1 << 20;

/// A process, by number and by the pidfd that says whether the number still means it.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
}

/// What a process looks like at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) start_time: StartTime,
    pub(super) credentials: Credentials,
    /// Its executable and mount namespace; absent where the agent may not see them.
    pub(super) origin: Result<Origin, Hidden>,
}

/// Where the program of a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) executable: Inode,
    pub(super) mount_namespace: Inode,
}

/// A file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    pub(super) device: (u32, u32),
    pub(super) number: u64,
}

impl Inode {
    /// Returns the file that a path leads to, from what the kernel has in memory.
    pub(super) fn of_path(directory: impl AsFd, path: impl Arg) -> Result<Self, Errno> {
        Ok(Self::of(&statx(directory, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?))
    }

    /// Returns the file that was looked up.
    pub(super) fn of(stat: &Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            number: stat.stx_ino,
        }
    }
}

/// Why the agent may not see a part of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hidden {
    #[error("the process has no executable file")]
    NoExecutable,
    #[error("the agent may not look into this process: it runs as another user, or is protected, and the agent lacks CAP_SYS_PTRACE")]
    NotPermitted,
}

impl Process {
    /// Takes a process whose pidfd the kernel gave with the connection.
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd: Arc::new(pidfd) }
    }

    /// Opens the process that has this number now.
    pub(super) fn open(pid: Pid) -> Result<Self, AttestError> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self::new(pid, pidfd)),
            // The latter two: the number is a thread's.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Err(AttestError::Exited),
            Err(source) => Err(AttestError::Unreadable {
                what: "pidfd",
                source: source.into(),
            }),
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), AttestError> {
        pidfd_send_signal(&*self.pidfd, signal).map_err(|errno| AttestError::reading("the permission to signal it", errno.into()))
    }

    /// Returns what tells when the process ends.
    pub(super) fn exit(&self) -> Result<Exit, AttestError> {
        Exit::of(Arc::clone(&self.pidfd)).map_err(|source| AttestError::Unreadable { what: "pidfd", source })
    }

    /// Returns the process's number in the agent's PID namespace.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns the process's directory in `/proc`; `None` where the mount hides it (hidepid).
    ///
    /// The directory stays that of this process: opened, it answers nothing for a successor with the same number.
    pub(super) fn directory(&self) -> Result<Option<OwnedFd>, AttestError> {
        let path = format!("/proc/{}", self.pid.as_raw_nonzero());
        let directory = match rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(directory) => Some(directory),
            Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => None,
            Err(source) => {
                return Err(AttestError::Unreadable {
                    what: "its directory in /proc",
                    source: source.into(),
                });
            }
        };
        // The number meant this process when the directory was opened only if the process lives after that.
        self.check_alive()?;
        Ok(directory)
    }

    /// Looks at the process: `None` where `/proc` hides it. It was alive after the last read.
    ///
    /// Nothing here waits for a file system: the executable's inode is taken from the kernel's cache, so that no program run from a
    /// user's own (FUSE) or a dead network mount can hold the agent up.
    pub(super) fn look(&self) -> Result<Option<Look>, AttestError> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        let look = self.look_in(directory.as_fd());
        self.check_alive()?;
        look
    }

    fn look_in(&self, directory: BorrowedFd<'_>) -> Result<Option<Look>, AttestError> {
        let Some(stat) = read(directory, "stat")? else { return Ok(None) };
        let Some(status) = read(directory, "status")? else { return Ok(None) };
        let (Some(start_time), Some(credentials)) = (parse_start_time(&stat), parse_credentials(&status)) else {
            return Err(AttestError::Unreadable {
                what: "its state in /proc",
                source: std::io::ErrorKind::InvalidData.into(),
            });
        };
        Ok(Some(Look {
            start_time,
            credentials,
            origin: origin(directory)?,
        }))
    }

    /// Refuses a process that has exited.
    pub(super) fn check_alive(&self) -> Result<(), AttestError> {
        const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&AT_ONCE)) {
            Ok(0) => Ok(()),
            Ok(_) => Err(AttestError::Exited),
            Err(source) => Err(AttestError::Unreadable {
                what: "pidfd",
                source: source.into(),
            }),
        }
    }
}

/// Returns the mount namespace of the agent.
pub(super) fn own_mount_namespace() -> std::io::Result<Inode> {
    Ok(Inode::of_path(rustix::fs::CWD, "/proc/self/ns/mnt")?)
}

fn origin(directory: BorrowedFd<'_>) -> Result<Result<Origin, Hidden>, AttestError> {
    let inodes = || {
        Ok(Origin {
            executable: Inode::of_path(directory, "exe")?,
            mount_namespace: Inode::of_path(directory, "ns/mnt")?,
        })
    };
    match inodes() {
        Ok(origin) => Ok(Ok(origin)),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Err(Hidden::NotPermitted)),
        // A kernel thread, or a process that is exiting; the caller checks which.
        Err(Errno::NOENT) => Ok(Err(Hidden::NoExecutable)),
        Err(Errno::SRCH) => Err(AttestError::Exited),
        Err(source) => Err(AttestError::reading("its executable", source.into())),
    }
}

/// Reads a file of a `/proc/PID` directory: `None` where the agent may not.
fn read(directory: BorrowedFd<'_>, name: &'static str) -> Result<Option<Vec<u8>>, AttestError> {
    let unreadable = |source| AttestError::Unreadable { what: name, source };
    let file = match openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::ACCESS | Errno::PERM) => return Ok(None),
        Err(Errno::NOENT | Errno::SRCH) => return Err(AttestError::Exited),
        Err(source) => return Err(unreadable(source.into())),
    };
    let mut text = Vec::with_capacity(2048);
    match file.take(MAX_PROC_FILE).read_to_end(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Err(AttestError::Exited),
        Err(source) => Err(unreadable(source)),
    }
}
