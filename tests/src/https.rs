//! One request over HTTPS, with roots that the test names: what relying parties and clients from outside do.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wait::PATIENCE;

/// Whatever went wrong: a test only wants to know that, and to show it.
pub type Anything = Box<dyn std::error::Error + Send + Sync>;

/// Reads the roots in a PEM file.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn roots(file: &Path) -> Result<Arc<RootCertStore>, Anything> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    Ok(Arc::new(roots))
}

/// Sends a request to an address, which must prove that it is the host of the request's URL; on a connection of its own.
///
/// # Errors
/// Nobody answers in time, or the server proves something else.
pub async fn exchange(roots: Arc<RootCertStore>, address: SocketAddr, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Anything> {
    tokio::time::timeout(PATIENCE, unbounded(roots, address, request)).await?
}

async fn unbounded(roots: Arc<RootCertStore>, address: SocketAddr, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Anything> {
    let host = request.uri().authority().ok_or("a URL with a host")?.clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.host().to_owned())?;
    let tcp = TcpStream::connect(address).await?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    let connection = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(http::header::HOST, host.as_str().parse()?);
    let answer = sender.send_request(http::Request::from_parts(parts, Full::new(Bytes::from(body)))).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    connection.abort();
    Ok(http::Response::from_parts(parts, body))
}
