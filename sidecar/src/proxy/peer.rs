//! Who is at the other end of one handshake.

use std::sync::{Arc, OnceLock};

use platform::tls::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use trust_domains::clock::SharedClock;
use trust_domains::peering::{AllowList, PeerRefused};
use trust_domains::x509::{VerifiedPeer, VerifyError};

use super::identity::Standing;

/// Verifies the peer of one connection, by what is believed as it begins, and keeps what it found.
#[derive(Debug)]
pub(super) struct PeerCheck {
    standing: Arc<Standing>,
    allowed: Arc<AllowList>,
    clock: SharedClock,
    found: OnceLock<Result<VerifiedPeer, PeerRefused>>,
}

impl PeerCheck {
    pub(super) fn new(standing: Arc<Standing>, allowed: Arc<AllowList>, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            standing,
            allowed,
            clock,
            found: OnceLock::new(),
        })
    }

    /// Returns what was found; nothing before the peer showed a certificate.
    pub(super) fn found(&self) -> Option<&Result<VerifiedPeer, PeerRefused>> {
        self.found.get()
    }

    fn judge(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        let judged = self.standing.trust.admit(&chain, &self.allowed, self.clock.now().wall);
        let answer = judged.as_ref().map(drop).map_err(refusal);
        match self.found.set(judged) {
            Ok(()) => answer,
            // A handshake has one certificate: a second one is not what was found.
            Err(_) => Err(Error::General("a second certificate in one handshake".to_owned())),
        }
    }
}

/// Chooses the alert that the peer is sent: it is told what is wrong with its own certificate, and nothing of the allow-list.
fn refusal(refused: &PeerRefused) -> Error {
    let error = match refused {
        PeerRefused::NotAllowed { .. } => CertificateError::ApplicationVerificationFailure,
        PeerRefused::DomainNotAllowed { .. } | PeerRefused::NoBundle { .. } => CertificateError::UnknownIssuer,
        PeerRefused::Unproved(VerifyError::Expired { .. }) => CertificateError::Expired,
        PeerRefused::Unproved(VerifyError::NotYetValid { .. }) => CertificateError::NotValidYet,
        PeerRefused::Unproved(VerifyError::Revoked { .. }) => CertificateError::Revoked,
        PeerRefused::Unproved(error) if error.is_of_unknown_authority() => CertificateError::UnknownIssuer,
        PeerRefused::Unproved(error) => CertificateError::Other(OtherError(Arc::new(error.clone()))),
    };
    error.into()
}

impl ClientCertVerifier for PeerCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        self.judge(leaf, others)?;
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

impl ServerCertVerifier for PeerCheck {
    /// The name that was dialled does not matter: a SPIFFE ID is no host name, and the allow-list says who may answer.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(leaf, others)?;
        Ok(ServerCertVerified::assertion())
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
