//! Endpoints on loopback that answer as a test wants them to, in whatever they call HTTP.

use std::sync::Arc;
use std::time::Duration;

use platform::tls::{TlsIdentity, provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// How an endpoint answers.
#[derive(Clone)]
pub(crate) enum Reply {
    /// With these octets, again and again until nobody reads.
    Endless(String, Vec<u8>),
    /// With these octets, one by one, and slowly.
    Slow(String),
    /// With these octets, and then the end of the connection.
    Text(String),
}

/// What an endpoint saw of one request.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) sni: Option<String>,
    pub(crate) client_certificates: usize,
}

/// An endpoint, until it is dropped.
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
    _accepting: AbortOnDropHandle<()>,
}

impl Endpoint {
    /// Answers each connection as `reply` has it; it is given how many came before.
    pub(crate) async fn start(identity: &TlsIdentity, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(identity, Arc::new(NoClientAuth), reply).await
    }

    /// Does so in one version of TLS alone.
    pub(crate) async fn of_version(identity: &TlsIdentity, version: &'static SupportedProtocolVersion, reply: Reply) -> Self {
        let config = config(identity, &[version], Arc::new(NoClientAuth), HTTP1);
        Self::answering(config, move |_| reply.clone()).await
    }

    /// Does so and asks for a certificate, which nobody has to show.
    pub(crate) async fn curious(identity: &TlsIdentity, roots: rustls::RootCertStore, reply: Reply) -> Self {
        let asks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
        Self::with(identity, asks.build().unwrap(), move |_| reply.clone()).await
    }

    async fn with(identity: &TlsIdentity, clients: Arc<dyn ClientCertVerifier>, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::answering(config(identity, &[&TLS13, &TLS12], clients, HTTP1), reply).await
    }

    async fn answering(config: ServerConfig, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, seen) = mpsc::unbounded_channel();
        let accepting = async move {
            for count in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, tell, reply) = (acceptor.clone(), tell.clone(), reply(count));
                tokio::spawn(async move {
                    // A client that does not believe this endpoint goes away.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let Some(request) = request(&mut stream).await else { return };
                    let _ = tell.send(request);
                    answer(stream, reply).await;
                });
            }
        };
        Self {
            port,
            seen,
            _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)),
        }
    }

    /// Returns the requests that came since the last look.
    pub(crate) fn seen(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

/// What is agreed on before a request.
const HTTP1: &[u8] = b"http/1.1";

/// Returns the TLS of an endpoint.
pub(super) fn config(
    identity: &TlsIdentity,
    versions: &[&'static SupportedProtocolVersion],
    clients: Arc<dyn ClientCertVerifier>,
    protocol: &[u8],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

async fn request(stream: &mut TlsStream<TcpStream>) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let session = stream.get_ref().1;
    Some(Seen {
        head: String::from_utf8(head).unwrap(),
        sni: session.server_name().map(str::to_owned),
        client_certificates: session.peer_certificates().map_or(0, <[_]>::len),
    })
}

/// Answers until nobody reads any more.
async fn answer(mut stream: TlsStream<TcpStream>, reply: Reply) {
    match reply {
        Reply::Endless(head, piece) => {
            let mut written = stream.write_all(head.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(&piece).await;
            }
        }
        Reply::Slow(text) => {
            for octet in text.bytes().chain(std::iter::repeat(b'x')) {
                if stream.write_u8(octet).await.and(stream.flush().await).is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Reply::Text(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
            // Until the client has read it: a reset would take it away.
            let _ = stream.read_u8().await;
        }
    }
}

/// An answer with a document.
pub(crate) fn ok(document: &str) -> Reply {
    with_headers("200 OK", "", document)
}

/// An answer with this status line, headers (each with its line end) and body.
pub(crate) fn with_headers(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Text(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

/// An answer that leads elsewhere.
pub(crate) fn moved(location: &str) -> Reply {
    with_headers("302 Found", &format!("location: {location}\r\n"), "")
}
