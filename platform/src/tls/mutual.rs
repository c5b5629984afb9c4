//! TLS at whose both ends an X509-SVID is shown, for other people's clients of any trust domain that is believed.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::SharedClock;
use trust_domains::trust_domain::TrustDomain;
use trust_domains::x509::{VerifiedPeer, VerifyError, verify_svid_of_any};

use super::config::{TlsConfigError, provider};
use super::verifier::{joined, refused};

/// Where the bundles come from by which peers are verified.
pub trait PeerBundles: fmt::Debug + Send + Sync {
    /// Returns today's bundle of a trust domain; nothing where none of its identities is believed.
    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>>;
}

/// Verifies the certificate of a client, which has to show one, against today's bundle of the client's own trust domain.
#[derive(Debug, Clone)]
pub struct PeerVerifier {
    bundles: Arc<dyn PeerBundles>,
    clock: SharedClock,
}

impl PeerVerifier {
    /// Returns a verifier that follows `bundles`.
    #[must_use]
    pub fn new(bundles: Arc<dyn PeerBundles>, clock: SharedClock) -> Self {
        Self { bundles, clock }
    }

    /// Verifies a chain, leaf first, by today's bundles and the time now.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, VerifyError> {
        verify_svid_of_any(chain, |trust_domain| self.bundles.bundle_of(trust_domain), self.clock.now().wall)
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        self.verify(&joined(leaf, others)).map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Returns the configuration of a listener for gRPC: TLS 1.2 and 1.3, HTTP/2, a client certificate demanded, and nothing ever resumed.
///
/// # Errors
/// [`TlsConfigError::Provider`] when the provider cannot do TLS.
pub fn mutual_server_config(certificate: Arc<dyn ResolvesServerCert>, verifier: PeerVerifier) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsConfigError::Provider)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip today's bundle. No ticketer is set, so TLS 1.2 gives out no tickets either.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
