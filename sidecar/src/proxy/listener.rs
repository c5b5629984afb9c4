//! The accept loop of a listener.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use platform::sockets::{BindError, UnixSocketGuard, bind_unix, listen_tcp, peer_credentials};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::ListenAddress;
use super::config::ListenerConfig;
use super::connection::Room;
use super::places::{Places, Source};
use super::socket::Socket;

/// How long accepting pauses after it failed: out of file descriptors, it would fail again at once.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listening {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket, whose name goes with the guard.
    Unix { listener: UnixListener, _guard: UnixSocketGuard },
}

impl Listening {
    pub(super) fn bind(config: &ListenerConfig) -> Result<Self, BindError> {
        match &config.listen {
            ListenAddress::Tcp(address) => listen_tcp(*address).map(Self::Tcp),
            ListenAddress::Unix(path) => bind_unix(path, config.socket_mode).map(|(listener, _guard)| Self::Unix { listener, _guard }),
        }
    }

    /// Returns where it listens: the port that was chosen for 0 too.
    pub(super) fn at(&self, config: &ListenerConfig) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| config.listen.to_string(), |address| address.to_string()),
            Self::Unix { .. } => config.listen.to_string(),
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Source, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Socket::tcp(stream)?, Source::of_address(address.ip()), address.to_string()))
            }
            Self::Unix { listener, .. } => {
                let (stream, _unnamed) = listener.accept().await?;
                let credentials = peer_credentials(&stream)?;
                let pid = credentials.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
                Ok((Socket::Unix(stream), Source::User(credentials.uid), format!("uid {}{pid}", credentials.uid)))
            }
        }
    }
}

/// Accepts connections until `stopping`; those that are open go on in `tasks`.
pub(super) async fn accept(listening: Listening, room: Arc<Room>, places: Arc<Places>, tasks: TaskTracker, stopping: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listening.accept() => accepted,
        };
        match accepted {
            Ok((socket, source, from)) => match places.enter(source) {
                Some(place) => drop(tasks.spawn(Arc::clone(&room).carry(socket, from, place))),
                None => room.refuse(&socket, from),
            },
            // A client that went away before it was accepted is no reason to wait.
            Err(error) if is_of_the_client(&error) => tracing::debug!(%error, "a connection went before it was accepted"),
            Err(error) => {
                tracing::warn!(%error, listener = room.config.name, "cannot accept connections for a moment");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::Interrupted | K::NotConnected)
}
