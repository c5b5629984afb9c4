//! The two handshakes: each connection has a configuration of its own, with the credentials of its moment, and nothing of it is kept for another.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use platform::tls::provider;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::address::TargetAddress;
use super::config::ListenerConfig;
use super::identity::Standing;
use super::peer::PeerCheck;
use super::socket::Socket;
use super::tls_version::TlsVersion;

static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];

/// Accepts: the peer must show a certificate.
pub(super) async fn accept(socket: Socket, config: &ListenerConfig, standing: &Standing, check: Arc<PeerCheck>) -> io::Result<TlsStream<Socket>> {
    let mut tls = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(config.min_tls))
        .map_err(io::Error::other)?
        .with_client_cert_verifier(check)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&standing.certified))));
    // A resumed session would skip today's bundles and lists. No ticketer is set, so TLS 1.2 gives out no tickets either.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    tls.alpn_protocols.clone_from(&config.alpn);
    TlsAcceptor::from(Arc::new(tls)).accept(socket).await.map(TlsStream::Server)
}

/// Connects: both ends show a certificate.
pub(super) async fn connect(socket: Socket, config: &ListenerConfig, standing: &Standing, check: Arc<PeerCheck>) -> io::Result<TlsStream<Socket>> {
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(config.min_tls))
        .map_err(io::Error::other)?
        .dangerous() // rustls's word for a verifier of one's own: SPIFFE names are not host names.
        .with_custom_certificate_verifier(check)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&standing.certified))));
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    tls.alpn_protocols.clone_from(&config.alpn);
    let name = server_name(&config.target);
    TlsConnector::from(Arc::new(tls)).connect(name, socket).await.map(TlsStream::Client)
}

fn versions(least: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        TlsVersion::Tls12 => &FROM_12,
        TlsVersion::Tls13 => &FROM_13,
    }
}

/// Returns the name for SNI: it helps whoever forwards by name, and proves nothing. For an address none is sent.
fn server_name(target: &TargetAddress) -> ServerName<'static> {
    let none = || ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match target {
        TargetAddress::Tcp(address) => {
            let host = address.host().trim_start_matches('[').trim_end_matches(']');
            ServerName::try_from(host.to_owned()).unwrap_or_else(|_| none())
        }
        TargetAddress::Unix(_) => none(),
    }
}
