//! A relying party by the `openidconnect` crate: discovery, keys and verification are the library's; only the HTTP client is here.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use openidconnect::core::{CoreGenderClaim, CoreIdTokenVerifier, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{ClientId, EmptyAdditionalClaims, HttpRequest, HttpResponse, IdToken, IssuerUrl, Nonce};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tests::admin::runtime;
use tests::wait::PATIENCE;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whatever went wrong: the caller only wants to know that, and to show it.
type Anything = Box<dyn std::error::Error + Send + Sync>;

type Token = IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Verifies a token as a party that trusts this issuer, is this audience and takes this algorithm alone; returns the subject.
pub(super) fn subject(issuer: &str, ca: &Path, audience: &str, token: &str, algorithm: &str) -> Result<String, Anything> {
    let roots = roots(ca)?;
    let http = move |request: HttpRequest| fetch(Arc::clone(&roots), request);
    let issuer = IssuerUrl::new(issuer.to_owned())?;
    let discovered = async { tokio::time::timeout(PATIENCE, CoreProviderMetadata::discover_async(issuer, &http)).await };
    let metadata = runtime().block_on(discovered)??;
    let algorithm: CoreJwsSigningAlgorithm = serde_json::from_value(algorithm.into())?;
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new(audience.to_owned()), metadata.issuer().clone(), metadata.jwks().clone());
    let verifier = verifier.set_allowed_algs([algorithm]);
    let token: Token = token.parse()?;
    // Nobody signed in, so no nonce was sent.
    let claims = token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?;
    Ok(claims.subject().to_string())
}

fn roots(ca: &Path) -> Result<Arc<RootCertStore>, Anything> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    Ok(Arc::new(roots))
}

async fn fetch(roots: Arc<RootCertStore>, request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
    exchange(roots, request).await.map_err(std::io::Error::other)
}

async fn exchange(roots: Arc<RootCertStore>, request: HttpRequest) -> Result<HttpResponse, Anything> {
    let authority = request.uri().authority().ok_or("a URL with a host")?.clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(authority.as_str()).await?;
    let name = ServerName::try_from(authority.host().to_owned())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    let connection = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(http::header::HOST, authority.as_str().parse()?);
    let answer = sender.send_request(http::Request::from_parts(parts, Full::new(Bytes::from(body)))).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    connection.abort();
    Ok(http::Response::from_parts(parts, body))
}
