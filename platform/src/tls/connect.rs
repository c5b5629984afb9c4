//! The connector: one HTTP/2 connection to one server, with its exporter, through no proxy.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trust_domains::duration::format_duration;
use trust_domains::join_link::ServerAddress;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::node::{EXPORTER_LABEL, EXPORTER_LEN};
use trust_domains::x509::VerifyError;

/// How often a silent server is asked whether it lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// What one response may send before it is read.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// A connection to a server whose identity was verified.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: Authority,
    exporter: [u8; EXPORTER_LEN],
    peer_chain: Arc<[CertificateDer<'static>]>,
}

impl Connection {
    /// Sends a request to a path of the server (`/v1/node/issue`). The URI's own scheme and authority are replaced by the server's.
    ///
    /// # Errors
    /// [`hyper::Error`] when the connection is lost or the request is refused by the protocol.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        if parts.path_and_query.is_none() {
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        }
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        let mut sender = self.sender.clone();
        sender.ready().await?;
        sender.send_request(request).await
    }

    /// Returns the octets that both ends of this connection derive, for proofs of possession.
    #[must_use]
    pub fn exporter(&self) -> &[u8; EXPORTER_LEN] {
        &self.exporter
    }

    /// Returns the certificates that the server sent, leaf first.
    #[must_use]
    pub fn peer_chain(&self) -> &[CertificateDer<'static>] {
        &self.peer_chain
    }

    /// Returns whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl std::fmt::Debug for Connection {
    /// Leaves the exported keying material out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("authority", &self.authority)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Connects: each address of the host in turn, all of it within `deadline`.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(address: &ServerAddress, tls: Arc<ClientConfig>, deadline: Duration) -> Result<Connection, ConnectError> {
    let failed = |source| ConnectError::Unreachable {
        address: address.to_string(),
        source,
    };
    let timed_out = || ConnectError::TimedOut {
        address: address.to_string(),
        deadline,
    };
    let attempt = async {
        let stream = dial(address, deadline).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let name = server_name(address).map_err(failed)?;
        let stream = TlsConnector::from(tls)
            .connect(name, stream)
            .await
            .map_err(|source| of_handshake(address, source))?;
        open(address, stream).await
    };
    tokio::time::timeout(deadline, attempt).await.map_err(|_| timed_out())?
}

/// Opens a TCP connection to the first address of the host that answers.
async fn dial(address: &ServerAddress, deadline: Duration) -> io::Result<TcpStream> {
    let mut addresses = lookup_host((address.host(), address.port())).await?.collect::<Vec<_>>();
    addresses.dedup();
    // One address that swallows packets must not use up the time of the others.
    let share = deadline / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(last)
}

/// Returns the name for SNI: it helps whoever forwards by name, and proves nothing.
fn server_name(address: &ServerAddress) -> io::Result<ServerName<'static>> {
    let host = address.host().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

async fn open(address: &ServerAddress, mut stream: TlsStream<TcpStream>) -> Result<Connection, ConnectError> {
    hear_first(address, &mut stream).await?;
    let broken = |source: io::Error| ConnectError::Unreachable {
        address: address.to_string(),
        source,
    };
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(b"h2") {
        return Err(broken(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak HTTP/2")));
    }
    let exporter = session
        .export_keying_material([0; EXPORTER_LEN], EXPORTER_LABEL, None)
        .map_err(|error| broken(io::Error::other(error)))?;
    let peer_chain = session.peer_certificates().unwrap_or_default().to_vec().into();
    let authority = address
        .to_string()
        .parse()
        .map_err(|error| broken(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(2 * STREAM_WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(io::Error::other(error)))?;
    // Ends when the last clone of the sender is dropped, or the server closes.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "the connection to the server broke");
        }
    });
    Ok(Connection {
        sender,
        authority,
        exporter,
        peer_chain,
    })
}

/// Waits for the server's first octets, which HTTP/2 sends unasked, and leaves them unread.
///
/// In TLS 1.3 the client's handshake ends before the server has looked at its certificate: a refusal would only show at the first request, and as
/// nothing more than a lost connection.
async fn hear_first(address: &ServerAddress, stream: &mut TlsStream<TcpStream>) -> Result<(), ConnectError> {
    match stream.fill_buf().await {
        Ok([]) => Err(ConnectError::Unreachable {
            address: address.to_string(),
            source: io::ErrorKind::UnexpectedEof.into(),
        }),
        Ok(_) => Ok(()),
        Err(error) => Err(of_handshake(address, error)),
    }
}

/// A connection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server does not believe this end's certificate.
    #[error("{address} refused this node's certificate ({alert:?})")]
    CertificateRefused {
        /// The server.
        address: String,
        /// What it said.
        alert: AlertDescription,
    },
    /// TLS failed otherwise.
    #[error("the TLS handshake with {address} failed")]
    Handshake {
        /// The server.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Whoever answers is not the server.
    #[error("{address} does not prove that it is the server")]
    NotTrusted {
        /// The server.
        address: String,
        /// What is wrong with its certificates.
        #[source]
        source: VerifyError,
    },
    /// It took too long.
    #[error("{address} did not answer within {}", format_duration(*deadline))]
    TimedOut {
        /// The server.
        address: String,
        /// The time it had.
        deadline: Duration,
    },
    /// Nobody answers.
    #[error("cannot reach {address}")]
    Unreachable {
        /// The server.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Coded for ConnectError {
    fn code(&self) -> Code {
        match self {
            Self::CertificateRefused { .. } => Code::NodeUnknown,
            Self::Handshake { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => Code::CannotReach,
            Self::NotTrusted { source, .. } => match source.code() {
                Code::RootMismatch => Code::RootMismatch,
                _ => Code::ServerIdentityInvalid,
            },
        }
    }
}

/// Finds our own verifier's reason, or the server's, inside what TLS returned.
fn of_handshake(address: &ServerAddress, source: io::Error) -> ConnectError {
    use rustls::{CertificateError, Error};
    let address = address.to_string();
    match source.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => match other.0.downcast_ref::<VerifyError>() {
            Some(reason) => ConnectError::NotTrusted {
                address,
                source: reason.clone(),
            },
            None => ConnectError::Handshake { address, source },
        },
        Some(Error::AlertReceived(alert)) if is_about_certificates(*alert) => ConnectError::CertificateRefused { address, alert: *alert },
        _ => ConnectError::Handshake { address, source },
    }
}

/// RFC 8446 section 6.2.
fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::AccessDenied | A::BadCertificate | A::CertificateExpired | A::CertificateRevoked | A::CertificateUnknown | A::UnknownCA | A::UnsupportedCertificate
    )
}
