//! The accept loop: a slow client holds up nobody, and a connection ends when its certificate does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::wire::node::{EXPORTER_LABEL, EXPORTER_LEN};
use trust_domains::x509::VerifiedPeer;

use super::admission::{AcceptLimits, Admission, Handshaking};
use super::verifier::NodeClientVerifier;
use crate::clock::sleep_until_wall;
use crate::serving::{Protocol, serve_connection};

/// The pause after the system refused to accept, as it does without free file descriptors: the next try would fail as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is known of a connection; each of its requests carries it as an `Arc` in the extensions.
pub struct ConnectionInfo {
    /// Tells connections of this process apart.
    pub id: u64,
    /// Where it comes from.
    pub peer_addr: SocketAddr,
    /// When it was accepted, by the clock since boot: before anything of its handshake was read, so nothing in it was proved sooner.
    pub accepted_at: Duration,
    /// Exported keying material under [`EXPORTER_LABEL`]: the same octets at both ends of this connection and nowhere else.
    pub exporter: [u8; EXPORTER_LEN],
    /// Who is at the other end; `None` without a client certificate.
    pub peer: Option<VerifiedPeer>,
    /// The DER of the client's leaf, if it sent one.
    pub leaf_der: Option<Vec<u8>>,
    /// Cancelling it ends this connection; so do shutdown and the end of the client's certificate. Streams watch it to say a last word: they have a second.
    pub close: CancellationToken,
}

impl std::fmt::Debug for ConnectionInfo {
    /// Leaves the exported keying material out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peer = self.peer.as_ref().map(VerifiedPeer::spiffe_id);
        f.debug_struct("ConnectionInfo")
            .field("id", &self.id)
            .field("peer_addr", &self.peer_addr)
            .field("peer", &peer)
            .finish_non_exhaustive()
    }
}

/// Where a connection comes from, and since when.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    peer_addr: SocketAddr,
    accepted_at: Duration,
}

/// A listener's TLS, router and bounds.
#[derive(Debug, Clone)]
pub struct TlsServer {
    /// The configuration for connections from now on: the server's own certificate is rotated.
    pub config: watch::Receiver<Arc<ServerConfig>>,
    /// The verifier of that configuration, asked once more after each handshake.
    pub verifier: Arc<NodeClientVerifier>,
    /// What answers.
    pub router: Router,
    /// The bounds.
    pub limits: AcceptLimits,
    /// The clock by which certificates end.
    pub clock: SharedClock,
}

impl TlsServer {
    /// Accepts connections until `shutdown`, then returns when all have ended.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let admission = Admission::new(&self.limits);
        let server = Arc::new(self);
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer_addr) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Some((handshaking, connection)) = admission.admit(peer_addr.ip()) else {
                tracing::debug!(peer = %peer_addr, "no room for a connection");
                continue;
            };
            let arrival = Arrival {
                peer_addr,
                accepted_at: server.clock.now().since_boot,
            };
            connections.spawn(server.clone().connection(stream, arrival, handshaking, connection, shutdown.child_token()));
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// One connection, from handshake to end.
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        arrival: Arrival,
        handshaking: Handshaking,
        _connection: OwnedSemaphorePermit,
        close: CancellationToken,
    ) {
        let peer_addr = arrival.peer_addr;
        let shaken = tokio::select! {
            shaken = self.handshake(stream) => shaken,
            () = close.cancelled() => return,
        };
        drop(handshaking);
        let stream = match shaken {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(peer = %peer_addr, error = %error, "a handshake failed");
                return;
            }
        };
        let protocol = if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        let info = match self.look_at(&stream, arrival, close.clone()) {
            Ok(info) => Arc::new(info),
            Err(error) => {
                tracing::debug!(peer = %peer_addr, error = %error, "a connection was refused");
                return;
            }
        };
        let ended = close.clone();
        tokio::select! {
            () = serve_connection(stream, protocol, self.router.clone(), info.clone(), close) => {}
            () = self.end_in_time(&info) => {}
        }
        // Whoever holds the token learns that the connection is gone.
        ended.cancel();
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        let acceptor = TlsAcceptor::from(self.config.borrow().clone());
        match tokio::time::timeout(self.limits.handshake_deadline, acceptor.accept(stream)).await {
            Ok(shaken) => shaken,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
        }
    }

    /// Takes down who is there. The peer is verified again: the handshake leaves certificates behind, and no proof that this code made.
    fn look_at(&self, stream: &TlsStream<TcpStream>, arrival: Arrival, close: CancellationToken) -> io::Result<ConnectionInfo> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let (_, session) = stream.get_ref();
        let exporter = session
            .export_keying_material([0; EXPORTER_LEN], EXPORTER_LABEL, None)
            .map_err(io::Error::other)?;
        let chain: &[CertificateDer<'_>] = session.peer_certificates().unwrap_or_default();
        let peer = if chain.is_empty() {
            None
        } else {
            Some(self.verifier.verify(chain).map_err(io::Error::other)?)
        };
        let leaf_der = chain.first().map(|leaf| leaf.to_vec());
        Ok(ConnectionInfo {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer_addr: arrival.peer_addr,
            accepted_at: arrival.accepted_at,
            exporter,
            peer,
            leaf_der,
            close,
        })
    }

    /// Tells the connection to end when its certificate does; the connection itself then sees to the grace. Never returns.
    async fn end_in_time(&self, info: &ConnectionInfo) {
        match &info.peer {
            Some(peer) => sleep_until_wall(self.clock.as_ref(), peer.not_after()).await,
            None => tokio::time::sleep(self.limits.anonymous_life).await,
        }
        info.close.cancel();
        std::future::pending::<()>().await;
    }
}

/// Waits a moment where the system refused to accept and would again.
pub(crate) async fn pause_after(error: &io::Error) {
    // A client that went away before it was accepted is no reason to wait.
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    ) {
        tracing::warn!(error = %error, "cannot accept connections for a moment");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
