//! A client that verifies whom it talks to by SPIFFE ID, and asks over TLS.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::tls::provider;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use trust_domains::SpiffeId;
use trust_domains::bundle::ParsedBundle;
use trust_domains::x509::Certificate;

use super::Way;
use crate::expecting::Expecting;
use crate::wait::{PATIENCE, until};

/// One request and its answer, on an open connection.
pub type Ask = fn(&mut Connection) -> Result<(), String>;

/// An open connection, with the serial that the service presented when it was opened.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The serial.
    pub presented: String,
    /// Whether anything of the answer that is read now has come.
    answering: bool,
}

impl Connection {
    /// Sends octets.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.answering = false;
        let sent = self.stream.write_all(octets).and_then(|()| self.stream.flush());
        sent.map_err(|error| format!("sending: {error}"))
    }

    /// Reads until the octets are as wanted, and returns them.
    ///
    /// # Errors
    /// The connection ends before.
    pub fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, String> {
        let mut read = Vec::new();
        while !enough(&read) {
            let mut part = [0; 4096];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(format!("the connection ended after {:?}", String::from_utf8_lossy(&read))),
                Ok(length) => read.extend_from_slice(part.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("reading: {error}")),
            }
            self.answering = true;
        }
        Ok(read)
    }
}

/// Asks for `/` over HTTP/1.1; good is an answer with status 200.
///
/// # Errors
/// Any other answer, or none.
pub fn http_get(connection: &mut Connection) -> Result<(), String> {
    connection.send(b"GET / HTTP/1.1\r\nHost: service.invalid\r\n\r\n")?;
    let answer = connection.read_until(is_whole_answer)?;
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("answered {:?}", String::from_utf8_lossy(&answer)))
    }
}

/// Whether these octets are an HTTP answer with its whole body (RFC 9112 section 6).
fn is_whole_answer(octets: &[u8]) -> bool {
    let text = String::from_utf8_lossy(octets).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.is_none_or(|length| length.trim().parse().is_ok_and(|length: usize| body.len() >= length))
}

/// A client: where to, whom it expects there, and who it is itself.
#[derive(Debug, Clone)]
pub struct TlsClient {
    address: String,
    expected: SpiffeId,
    bundle: PathBuf,
    identity: Option<PathBuf>,
    preface: Option<Preface>,
}

/// What the protocol says before TLS begins.
type Preface = fn(&mut TcpStream) -> std::io::Result<()>;

impl TlsClient {
    /// Returns a client that expects a SPIFFE ID at an address, by the roots of its trust domain in a PEM file.
    ///
    /// # Panics
    ///
    /// When that is no SPIFFE ID.
    #[must_use]
    pub fn new(address: &str, expected: &str, bundle: &Path) -> Self {
        Self {
            address: address.to_owned(),
            expected: expected.parse().expect("a SPIFFE ID"),
            bundle: bundle.to_owned(),
            identity: None,
            preface: None,
        }
    }

    /// Is whoever the files of a sink's directory say, as they are when a connection is opened.
    #[must_use]
    pub fn identified_by(mut self, sink: &Path) -> Self {
        self.identity = Some(sink.to_owned());
        self
    }

    /// Says something before TLS begins, as PostgreSQL asks for it.
    #[must_use]
    pub fn after(mut self, preface: Preface) -> Self {
        self.preface = Some(preface);
        self
    }

    /// Opens a connection; no session is resumed, and nothing waits longer than [`PATIENCE`].
    ///
    /// # Errors
    /// In words, what failed.
    pub fn connect(&self) -> Result<Connection, String> {
        let config = self.config().map_err(|error| format!("the client's files: {error}"))?;
        let mut tcp = TcpStream::connect(&self.address).map_err(|error| format!("connecting: {error}"))?;
        let bounded = tcp.set_read_timeout(Some(PATIENCE)).and_then(|()| tcp.set_write_timeout(Some(PATIENCE)));
        bounded
            .and_then(|()| self.preface.map_or(Ok(()), |preface| preface(&mut tcp)))
            .map_err(|error| format!("before TLS: {error}"))?;
        let name = ServerName::try_from("service.invalid").map_err(|error| error.to_string())?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .map_err(|error| format!("in the handshake: {error}"))?;
        }
        let leaf = stream.conn.peer_certificates().and_then(<[_]>::first).ok_or("no certificate")?;
        let presented = Certificate::parse(leaf).map_err(|error| error.to_string())?.serial().to_string();
        Ok(Connection {
            stream,
            presented,
            answering: false,
        })
    }

    fn config(&self) -> Result<ClientConfig, crate::https::Anything> {
        let parsed = ParsedBundle::parse_pem(&self.expected.trust_domain(), &std::fs::read(&self.bundle)?)?;
        let verifier = Expecting {
            bundle: parsed.bundle,
            expected: self.expected.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous() // rustls's word for a verifier of one's own: SPIFFE names are not host names.
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            Some(sink) => {
                // One generation: chain and key of two never fit.
                let files = sink.join("..data").canonicalize().unwrap_or_else(|_single_files| sink.clone());
                let chain = CertificateDer::pem_file_iter(files.join("svid.pem"))?.collect::<Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(files.join("svid_key.pem"))?)?
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Asks once on a connection of its own, and returns the serial that was presented.
    ///
    /// # Errors
    /// In words, what failed.
    pub fn ask_once(&self, ask: Ask) -> Result<String, String> {
        let mut connection = self.connect()?;
        ask(&mut connection)?;
        connection.stream.conn.send_close_notify();
        let _ = connection.stream.flush(); // The answer is there already.
        Ok(connection.presented)
    }

    /// Waits until the service answers, and returns the serial that it presented.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn until_answered(&self, ask: Ask) -> String {
        until("the service to answer", || self.ask_once(ask).ok())
    }

    /// A new connection for each request.
    #[must_use]
    pub fn new_connections(self, ask: Ask) -> Way {
        Box::new(move || self.ask_once(ask).map(Some))
    }

    /// One connection for all requests, and another when the service has ended it.
    ///
    /// A connection that ended while nothing was asked on it is no failure: a service may end an idle one at any moment, so every client opens another then
    /// (RFC 9112 section 9.3.1). A request is asked again once, and only if nothing of its answer had come.
    #[must_use]
    pub fn kept_alive(self, ask: Ask) -> Way {
        let mut open: Option<Connection> = None;
        Box::new(move || {
            if let Some(mut connection) = open.take() {
                match ask(&mut connection) {
                    Ok(()) => {
                        open = Some(connection);
                        return Ok(None);
                    }
                    Err(failure) if connection.answering => return Err(failure),
                    Err(_ended_while_idle) => {}
                }
            }
            let mut connection = self.connect()?;
            ask(&mut connection)?;
            let presented = connection.presented.clone();
            open = Some(connection);
            Ok(Some(presented))
        })
    }
}
