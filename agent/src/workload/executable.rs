//! Proves which file a process executes: its path as the agent sees it, and its content.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, readlinkat};

use super::attestor::AttestError;
use super::process::{Inode, Origin};

/// Why the path of an executable is not proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnprovenPath {
    #[error("the path does not lead the agent to the file that the process executes")]
    AnotherFile,
    #[error("the process runs in another mount namespace than the agent, where any file can be mounted on any path")]
    AnotherMountNamespace,
    #[error("the path is not printable text")]
    NotText,
}

/// Returns the path of the file that the process executes.
///
/// The kernel gives the path as the process's mounts have it. In its own mount namespace (any user may make one inside a user namespace) it can
/// mount its own file over a trusted path, so only the agent's namespace counts. A file can also be executed by descriptor, from a mount
/// that the agent does not have: so the path must lead the agent to the same device and inode.
///
/// It opens a path of the caller's choosing: a user's own (FUSE) mount can hold it up. Call it away from the runtime.
pub(super) fn prove_path(directory: BorrowedFd<'_>, origin: &Origin, agents_namespace: Inode) -> Result<Result<String, UnprovenPath>, AttestError> {
    if origin.mount_namespace != agents_namespace {
        return Ok(Err(UnprovenPath::AnotherMountNamespace));
    }
    let link = readlinkat(directory, "exe", Vec::new()).map_err(|source| AttestError::reading("its executable", source.into()))?;
    let path = Path::new(OsStr::from_bytes(link.as_bytes()));
    if !path.is_absolute() || Inode::of_path(CWD, path) != Ok(origin.executable) {
        return Ok(Err(UnprovenPath::AnotherFile));
    }
    Ok(path.to_str().map(str::to_owned).ok_or(UnprovenPath::NotText))
}
