//! Who may be at the other end: SPIFFE rules by `trust_domains::x509`, handshake signatures by rustls.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use tokio::sync::watch;
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::SharedClock;
use trust_domains::crl::CrlSet;
use trust_domains::join_link::RootHash;
use trust_domains::spiffe_id::SpiffeId;
use trust_domains::trust_domain::TrustDomain;
use trust_domains::x509::{VerifiedPeer, VerifyError, check_unrevoked, verify_identity, verify_server_by_root_hash, verify_svid};

use super::config::provider;

/// The server's side: verifies the certificate of a client against today's bundle. A client may come without one.
#[derive(Debug)]
pub struct NodeClientVerifier {
    bundle: Arc<ArcSwap<TrustBundle>>,
    clock: SharedClock,
}

impl NodeClientVerifier {
    /// Returns a verifier that follows `bundle`.
    #[must_use]
    pub fn new(bundle: Arc<ArcSwap<TrustBundle>>, clock: SharedClock) -> Self {
        Self { bundle, clock }
    }

    /// Verifies a chain, leaf first, by today's bundle and the time now.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, VerifyError> {
        verify_svid(chain, &self.bundle.load(), self.clock.now().wall)
    }
}

impl ClientCertVerifier for NodeClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        // A node that has no SVID yet, or not any more, comes without.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        self.verify(&joined(leaf, others)).map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a client knows of its server before it connects.
#[derive(Debug)]
pub enum ServerTrust {
    /// The trust bundle of its domain.
    Bundle(Arc<ArcSwap<TrustBundle>>),
    /// The hashes of its roots, from a join link.
    Roots {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// SHA-256 of the DER of each root.
        roots: Vec<RootHash>,
    },
}

/// The agent's side: the peer is exactly `spiffe://TD/troth/server`, and nobody else that chains to the root.
#[derive(Debug)]
pub struct ServerVerifier {
    trust: ServerTrust,
    clock: SharedClock,
    lists: Option<watch::Receiver<Arc<CrlSet>>>,
}

impl ServerVerifier {
    /// Returns a verifier that believes by `trust`.
    #[must_use]
    pub fn new(trust: ServerTrust, clock: SharedClock) -> Self {
        Self { trust, clock, lists: None }
    }

    /// Returns a verifier that also refuses a server of whose chain a certificate is on one of these lists, as they are at the handshake.
    #[must_use]
    pub fn with_lists(self, lists: watch::Receiver<Arc<CrlSet>>) -> Self {
        Self { lists: Some(lists), ..self }
    }

    /// Verifies a chain, leaf first.
    ///
    /// # Errors
    /// [`VerifyError`]: `NotTheServer` for a peer that is proved to be someone else of the trust domain, `Revoked` for one that is on a list.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, VerifyError> {
        let peer = self.identify(chain)?;
        if let Some(lists) = &self.lists {
            check_unrevoked(chain, &lists.borrow())?;
        }
        Ok(peer)
    }

    fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, VerifyError> {
        let now = self.clock.now().wall;
        match &self.trust {
            ServerTrust::Bundle(bundle) => {
                let bundle = bundle.load();
                verify_identity(chain, &SpiffeId::server(bundle.trust_domain()), &bundle, now)
            }
            ServerTrust::Roots { trust_domain, roots } => verify_server_by_root_hash(chain, roots, trust_domain, now).map(|(peer, _)| peer),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(&joined(leaf, others)).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(super) fn joined<'a>(leaf: &CertificateDer<'a>, others: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    std::iter::once(leaf).chain(others).cloned().collect()
}

/// Keeps the reason inside the TLS error, for the log at this end; the peer sees an alert only.
pub(super) fn refused(error: VerifyError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn tls13_only() -> Error {
    Error::General("only TLS 1.3 is spoken here".to_owned())
}
