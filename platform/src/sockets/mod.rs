//! Sockets that are bound safely (design section 7).

mod bind;
mod directory;
mod handed;
mod path;

pub use bind::{BindError, UnixSocketGuard, bind_unix, bind_unix_apart, listen_tcp};
pub use directory::SocketDirectoryError;
pub use handed::serve_handed;
pub use path::{LONGEST_SOCKET_PATH, ParseSocketPathError, SocketPath};

use std::io;

use tokio::net::UnixStream;

/// Who opened the other end of a Unix socket, by the kernel's word (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process, as this process's PID namespace sees it; `None` when it does not.
    pub pid: Option<i32>,
    /// The effective user when it connected.
    pub uid: u32,
    /// The effective group when it connected.
    pub gid: u32,
}

/// Asks the kernel who opened the other end.
///
/// # Errors
/// The socket is not connected.
pub fn peer_credentials(stream: &UnixStream) -> io::Result<PeerCredentials> {
    let credentials = stream.peer_cred()?;
    Ok(PeerCredentials {
        pid: credentials.pid().filter(|pid| *pid > 0),
        uid: credentials.uid(),
        gid: credentials.gid(),
    })
}
