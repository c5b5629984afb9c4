//! TLS with an endpoint: 1.2 and 1.3, HTTP/2 and HTTP/1.1, no certificate of ours, nothing resumed.

use std::io;
use std::sync::Arc;

use platform::tls::provider;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, Error};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trust_domains::federation::{EndpointUrl, Host};
use trust_domains::x509::VerifyError;

use super::budget::Budgeted;
use super::dial::Octets;
use super::error::{FetchError, at};
use super::said::Said;
use super::verifier::EndpointVerifier;

/// What is spoken over TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A connection to an endpoint that is believed.
pub(super) type Secured = TlsStream<Budgeted<Box<dyn Octets>>>;

/// Returns the configuration of one fetch.
pub(super) fn client_config(verifier: EndpointVerifier) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous() // rustls's word for a verifier of one's own.
        .with_custom_certificate_verifier(Arc::new(verifier))
        // Strangers are asked for what everybody may read: no endpoint may ask who we are (FED-14).
        .with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    // A resumed session would skip today's bundle.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// Speaks TLS with the endpoint of a URL.
pub(super) async fn secure(stream: Budgeted<Box<dyn Octets>>, url: &EndpointUrl, config: Arc<ClientConfig>) -> Result<Secured, FetchError> {
    let name = server_name(url).map_err(|error| FetchError::malformed(url, error))?;
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| of_handshake(url, &error))
}

/// Returns the name by which the endpoint chooses its certificate, and which `https_web` verifies.
fn server_name(url: &EndpointUrl) -> Result<ServerName<'static>, rustls::pki_types::InvalidDnsNameError> {
    match url.host() {
        Host::Domain(name) => ServerName::try_from(name.to_owned()),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(address))),
    }
}

/// Tells an endpoint that is not believed from one that does not speak TLS.
fn of_handshake(url: &EndpointUrl, error: &io::Error) -> FetchError {
    let reason = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => match other.0.downcast_ref::<VerifyError>() {
            Some(reason) => Said::why(reason),
            None => Said::of(other),
        },
        Some(Error::InvalidCertificate(reason)) => Said::of(reason),
        Some(reason @ (Error::NoCertificatesPresented | Error::UnsupportedNameType)) => Said::of(reason),
        Some(_) | None => return FetchError::unreachable(url, error),
    };
    FetchError::NotTrusted { at: at(url), reason }
}
