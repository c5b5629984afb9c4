//! What a service presents, written down while the handshake goes on.

use std::sync::{Mutex, PoisonError};

use platform::tls::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use trust_domains::Serial;
use trust_domains::x509::Certificate;

/// What a service presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The delivered leaf, and it proved to have its key.
    Delivered,
    /// Another, with this serial.
    Other(Serial),
}

/// Believes one leaf and no other, whatever its issuer, names and times: whether it is to be believed was decided when it was delivered.
#[derive(Debug)]
pub(super) struct Witness {
    leaf: CertificateDer<'static>,
    seen: Mutex<Option<Seen>>,
}

impl Witness {
    pub(super) fn new(leaf: CertificateDer<'static>) -> Self {
        Self { leaf, seen: Mutex::default() }
    }

    /// Returns what was seen; `None` when the handshake did not get so far.
    pub(super) fn seen(&self) -> Option<Seen> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_down(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *leaf == self.leaf {
            return Ok(ServerCertVerified::assertion());
        }
        let other = Certificate::parse(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        self.write_down(Seen::Other(*other.serial()));
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls12_signature(message, leaf, signed, &provider().signature_verification_algorithms)?;
        self.write_down(Seen::Delivered);
        Ok(valid)
    }

    fn verify_tls13_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(message, leaf, signed, &provider().signature_verification_algorithms)?;
        self.write_down(Seen::Delivered);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
