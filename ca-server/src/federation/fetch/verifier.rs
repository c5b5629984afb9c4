//! Who is believed to be the endpoint: by a CA of the web and the host's name, or by a SPIFFE ID and nothing else.

use std::sync::Arc;

use platform::tls::provider;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::SharedClock;
use trust_domains::crl::CrlSet;
use trust_domains::join_link::RootHash;
use trust_domains::spiffe_id::SpiffeId;
use trust_domains::x509::{VerifyError, check_unrevoked, verify_identity, verify_identity_by_root_hash};

/// By what one fetch believes every endpoint that it meets.
#[derive(Debug)]
pub(super) enum Believed {
    Pinned {
        id: SpiffeId,
        roots: Vec<RootHash>,
    },
    Spiffe {
        id: SpiffeId,
        bundle: Arc<TrustBundle>,
        lists: Arc<CrlSet>,
    },
    Web(Arc<WebPkiServerVerifier>),
}

/// Verifies the certificates of an endpoint, at the time of our clock.
#[derive(Debug)]
pub(super) struct EndpointVerifier {
    pub(super) believed: Believed,
    pub(super) clock: SharedClock,
}

impl EndpointVerifier {
    fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
        let now = self.clock.now().wall;
        match &self.believed {
            Believed::Pinned { id, roots } => verify_identity_by_root_hash(chain, roots, id, now).map(|_| ()),
            Believed::Spiffe { id, bundle, lists } => {
                verify_identity(chain, id, bundle, now)?;
                check_unrevoked(chain, lists)
            }
            Believed::Web(_) => Ok(()),
        }
    }

    /// Returns the time for webpki; before 1970 no certificate of the web is valid either.
    fn now(&self) -> UnixTime {
        let seconds = u64::try_from(self.clock.now().wall.unix()).unwrap_or(0);
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }
}

impl ServerCertVerifier for EndpointVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Believed::Web(verifier) = &self.believed {
            return verifier.verify_server_cert(leaf, others, name, ocsp, self.now());
        }
        // The name takes no part: a SPIFFE ID says who it is, wherever it is (FED-24).
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        // The reason travels inside the TLS error, for this end alone.
        self.identify(&chain).map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
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
