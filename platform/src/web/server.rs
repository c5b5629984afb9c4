//! The accept loop for strangers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use http_body::Body as _;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::problem::{Code, Problem};

use super::limits::WebLimits;
use super::sources::{FromSource, Sources};
use crate::serving::{ConnectionBounds, Protocol, serve_connection};
use crate::tls::{TlsConfigError, pause_after, provider};
use crate::trace::{TRACE_ID, TraceContext, problem_response};

/// What is spoken over TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

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
            router: router.layer(from_fn(in_its_share)),
            limits,
        })
    }

    /// Accepts connections until `shutdown`, then returns when all have ended.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let (places, sources) = (Arc::new(Semaphore::new(self.limits.connections)), Sources::new(self.limits));
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
            let Some((place, source)) = Arc::clone(&places).try_acquire_owned().ok().zip(sources.admit(peer.ip())) else {
                tracing::debug!(%peer, "no room for a connection");
                continue;
            };
            let (server, end) = (Arc::clone(&server), shutdown.child_token());
            connections.spawn(async move {
                server.connection(stream, Arc::new(source), end).await;
                drop(place);
            });
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// One connection, from handshake to end.
    async fn connection(&self, stream: TcpStream, source: Arc<FromSource>, end: CancellationToken) {
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
        let bounds = ConnectionBounds {
            protocol: match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            },
            head_deadline: self.limits.head_deadline,
        };
        let life = async {
            tokio::time::sleep(self.limits.life).await;
            end.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serve_connection(stream, bounds, self.router.clone(), source, end.clone()) => {}
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

/// Answers a request if its source may ask for more, and counts what that costs.
async fn in_its_share(Extension(source): Extension<Arc<FromSource>>, request: Request, next: Next) -> Response {
    if let Err(wait) = source.request() {
        return too_many(&request, wait);
    }
    let response = next.run(request).await;
    source.answered(response.body().size_hint().lower());
    response
}

/// Refuses before anything else is looked at; the trace id is all that such an answer has of the others.
fn too_many(request: &Request, wait: Duration) -> Response {
    // Whole seconds (RFC 9110 section 10.2.3), and never too early.
    let seconds = wait.as_secs() + 1;
    let trace_id = TraceContext::of(request.headers()).trace_id();
    let mut problem = Problem::new(
        Code::TooManyRequests,
        format!("this address has asked too often; the next answer is in {seconds} s"),
    );
    problem.trace_id = Some(trace_id.clone());
    let mut response = problem_response(problem);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    if let Ok(trace_id) = HeaderValue::try_from(trace_id) {
        response.headers_mut().insert(TRACE_ID, trace_id);
    }
    response
}
