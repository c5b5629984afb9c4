//! The listener: who connects is known from the kernel, and everyone but the process's own user and root is turned away.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::effective_uid;
use crate::serving::{Protocol, serve_connection};
use crate::sockets::peer_credentials;

/// The pause after the system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of an admin socket.
#[derive(Debug, Clone, Copy)]
pub struct UnixLimits {
    /// Open connections: people and their scripts, not a load.
    pub connections: usize,
}

impl Default for UnixLimits {
    fn default() -> Self {
        Self { connections: 128 }
    }
}

/// Accepts connections of this process's user and of root until `shutdown`, then returns when all have ended.
///
/// Requests carry [`crate::sockets::PeerCredentials`] in their extensions.
pub async fn serve_unix(listener: UnixListener, router: Router, limits: UnixLimits, shutdown: CancellationToken) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept connections for a moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::warn!(limit = limits.connections, "the admin socket has no room for a connection");
            continue;
        };
        let (router, end) = (router.clone(), shutdown.child_token());
        connections.spawn(async move {
            serve_peer(stream, router, end).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve_peer(stream: UnixStream, router: Router, end: CancellationToken) {
    let credentials = match peer_credentials(&stream) {
        Ok(credentials) => credentials,
        Err(error) => {
            tracing::debug!(error = %error, "a connection has no credentials");
            return;
        }
    };
    if !is_operator(credentials.uid, effective_uid()) {
        tracing::warn!(uid = credentials.uid, "a user that is not the operator was turned away from the admin socket");
        return;
    }
    serve_connection(stream, Protocol::Http1, router, credentials, end).await;
}

/// The operator is who runs the process, or root.
fn is_operator(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_and_root_are_operators() {
        assert!(is_operator(1_000, 1_000));
        assert!(is_operator(0, 1_000));
        assert!(!is_operator(1_001, 1_000));
        assert!(!is_operator(1_000, 0));
    }
}
