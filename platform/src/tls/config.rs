//! The two configurations: one provider, one version, no resumption.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use trust_domains::problem::{Code, Coded};

use super::verifier::{NodeClientVerifier, ServerVerifier};

/// What is spoken over TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Returns the one provider of TLS: aws-lc-rs, with post-quantum hybrid key exchange preferred.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

/// A certificate chain, leaf first, with the key of its leaf.
#[derive(Debug, Clone)]
pub struct TlsIdentity(Arc<CertifiedKey>);

impl TlsIdentity {
    /// Joins a chain of DER certificates, leaf first, with the PKCS#8 key of the leaf.
    ///
    /// # Errors
    /// [`TlsConfigError`] when the key is unusable or is not the leaf's.
    pub fn new(chain: &[impl AsRef<[u8]>], key_pkcs8: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.as_ref().to_vec())).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pkcs8));
        let key = provider().key_provider.load_private_key(key.clone_key()).map_err(TlsConfigError::Key)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(TlsConfigError::Key)?;
        Ok(Self(Arc::new(certified)))
    }
}

impl TlsIdentity {
    /// Returns the chain and the key, for a listener that chooses by the handshake what it shows.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

impl From<Arc<CertifiedKey>> for TlsIdentity {
    /// Takes a chain and a key that belong together.
    fn from(certified: Arc<CertifiedKey>) -> Self {
        Self(certified)
    }
}

/// Returns the configuration of a listener. A client certificate is asked for and optional; one that is sent must verify.
///
/// # Errors
/// [`TlsConfigError::Provider`] when the provider cannot do TLS 1.3.
pub fn server_config(identity: &TlsIdentity, verifier: Arc<NodeClientVerifier>) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsConfigError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0.clone())));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Returns the configuration of a client, with a certificate or without.
///
/// # Errors
/// [`TlsConfigError::Provider`] when the provider cannot do TLS 1.3.
pub fn client_config(identity: Option<&TlsIdentity>, verifier: Arc<ServerVerifier>) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsConfigError::Provider)?
        .dangerous() // rustls's word for a verifier of one's own: SPIFFE names are not host names.
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0.clone()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// A TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// The key is unusable, or is not that of the leaf.
    #[error("the certificate and its key do not make a TLS identity")]
    Key(#[source] rustls::Error),
    /// The provider does not do TLS 1.3.
    #[error("the TLS provider is not usable")]
    Provider(#[source] rustls::Error),
}

impl Coded for TlsConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Key(_) => Code::SvidInvalid,
            Self::Provider(_) => Code::Internal,
        }
    }
}
