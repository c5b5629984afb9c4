//! Why files could not be put in place.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use trust_domains::problem::{Code, Coded};

/// Why a sink could not put its files in place; what was there before stays.
#[derive(Debug, thiserror::Error)]
pub enum FileSetError {
    /// The directory, or one above it, can be written by others than root and the agent's user.
    #[error("{} can be written by others ({reason}), who could replace what is delivered", path.display())]
    DirectoryUnsafe {
        /// Which directory.
        path: PathBuf,
        /// Whose it is or what its mode is.
        reason: String,
    },
    /// The file system is full, or the owner's quota is used up.
    #[error("the file system of {} is full; the files before stay in place", path.display())]
    DiskFull {
        /// The sink's directory.
        path: PathBuf,
    },
    /// There is something in the directory under a name that the sink needs, and the sink did not make it.
    #[error("{} is in the way: the sink did not make it", path.display())]
    Foreign {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another process, or another sink, delivers into the directory.
    #[error("another sink delivers into {}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The path is not absolute, or has `.` or `..` in it.
    #[error("{} is not an absolute path without . and ..", path.display())]
    NotAbsolute {
        /// The path as configured.
        path: PathBuf,
    },
    /// The path leads through a symbolic link.
    #[error("{} is not a directory but a symbolic link or a file", path.display())]
    NotADirectory {
        /// Which part of the path.
        path: PathBuf,
    },
    /// The file system takes no changes.
    #[error("the file system of {} is read-only; the files before stay in place", path.display())]
    ReadOnly {
        /// What was to be changed.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("{action} {} failed", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The configured owner or group does not exist on this machine.
    #[error("there is no {kind} {name} on this machine")]
    UnknownName {
        /// `user` or `group`.
        kind: &'static str,
        /// The name or number.
        name: String,
    },
}

impl FileSetError {
    /// Returns the error of a system call.
    pub(super) fn system(action: &'static str, path: &Path, errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::DiskFull { path: path.to_owned() },
            Errno::ROFS => Self::ReadOnly { path: path.to_owned() },
            _ => Self::System {
                action,
                path: path.to_owned(),
                source: errno.into(),
            },
        }
    }
}

impl Coded for FileSetError {
    fn code(&self) -> Code {
        match self {
            Self::DiskFull { .. } => Code::DiskFull,
            Self::DirectoryUnsafe { .. }
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::NotAbsolute { .. }
            | Self::NotADirectory { .. }
            | Self::UnknownName { .. } => Code::ConfigInvalid,
            Self::ReadOnly { .. } => Code::FileUnavailable,
            Self::System { .. } => Code::Internal,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::DirectoryUnsafe { .. } => "use a directory whose parents belong to root or to the agent's user, and nobody else can write".to_owned(),
            Self::Foreign { .. } => "move it away, or give the sink a directory of its own".to_owned(),
            Self::InUse { .. } => "give each sink a directory of its own".to_owned(),
            Self::NotAbsolute { .. } | Self::NotADirectory { .. } => "use the real path of a directory, from the root on: realpath DIR".to_owned(),
            Self::ReadOnly { .. } => "move the sink to a file system that takes changes, or mount this one so".to_owned(),
            Self::UnknownName { .. } => "make it, or correct owner and group of the sink".to_owned(),
            Self::DiskFull { .. } | Self::System { .. } => self.code().facts().hint.to_owned(),
        }
    }
}
