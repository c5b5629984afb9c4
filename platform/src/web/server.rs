//! The accept loop for strangers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sources::Sources;
use crate::serving::{Protocol, serve_connection};
use crate::tls::{TlsConfigError, pause_after, provider};

/// What is spoken over TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The bounds of a listener for strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one source.
    pub per_source: usize,
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
    /// How long a connection may last: long enough for a slow fetch, and for a fetcher to use it again.
    pub life: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            // About 30 KB each: 60 MB at the worst.
            connections: 2_048,
            // A cloud fetches from few addresses, and each fetch is over in a moment.
            per_source: 64,
            handshake_deadline: Duration::from_secs(10),
            life: Duration::from_secs(60),
        }
    }
}

/// A listener's certificate, router and bounds.
#[derive(Debug)]
pub struct WebServer {
    config: Arc<ServerConfig>,
    router: Router,
    limits: WebLimits,
}

impl WebServer {
    /// Returns a server that shows the certificate of the moment and asks nobody for one.
    ///
    /// # Errors
    /// [`TlsConfigError::Provider`] when the provider cannot do TLS.
    pub fn new(certificate: Arc<dyn ResolvesServerCert>, router: Router, limits: WebLimits) -> Result<Self, TlsConfigError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsConfigError::Provider)?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // Nothing is kept for strangers.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            router,
            limits,
        })
    }

    /// Accepts connections until `shutdown`, then returns when all have ended.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let (places, sources) = (Arc::new(Semaphore::new(self.limits.connections)), Sources::new(self.limits.per_source));
        let (server, connections) = (Arc::new(self), TaskTracker::new());
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Some(place) = Arc::clone(&places).try_acquire_owned().ok().zip(sources.admit(peer.ip())) else {
                tracing::debug!(%peer, "no room for a connection");
                continue;
            };
            let (server, end) = (Arc::clone(&server), shutdown.child_token());
            connections.spawn(async move {
                server.connection(stream, end).await;
                drop(place);
            });
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// One connection, from handshake to end.
    async fn connection(&self, stream: TcpStream, end: CancellationToken) {
        let shaken = tokio::select! {
            shaken = self.handshake(stream) => shaken,
            () = end.cancelled() => return,
        };
        let stream = match shaken {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                return;
            }
        };
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let life = async {
            tokio::time::sleep(self.limits.life).await;
            end.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serve_connection(stream, protocol, self.router.clone(), (), end.clone()) => {}
            () = life => {}
        }
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        match tokio::time::timeout(self.limits.handshake_deadline, acceptor.accept(stream)).await {
            Ok(shaken) => shaken,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
        }
    }
}
