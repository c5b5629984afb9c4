//! An X509-SVID before its record, and as it leaves the issuance.

use std::sync::Arc;

use trust_domains::{Serial, SpiffeId, Timestamp};

use super::stages::PreparedCertificate;

/// An X509-SVID that is complete but for its record and its signature: what it will say can be stored before it exists.
#[derive(Debug)]
pub struct PreparedSvid {
    pub(super) certificate: PreparedCertificate,
    pub(super) issued_at: Timestamp,
}

impl PreparedSvid {
    /// Returns the serial number that it will have.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.certificate.serial()
    }

    /// Returns when it will end.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.certificate.not_after()
    }
}

/// One issued X509-SVID with the certificates that lead to a root of the bundle.
#[derive(Debug, Clone)]
pub struct IssuedSvid {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The leaf in DER.
    pub leaf: Vec<u8>,
    /// The certificate of the issuing CA in DER.
    pub issuer: Arc<[u8]>,
    /// What follows it where verifiers know an upstream authority alone: cross-certificates of the root, in DER.
    pub above: Vec<Arc<[u8]>>,
    /// The serial number.
    pub serial: Serial,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl IssuedSvid {
    /// Returns the chain in DER: the leaf first, then the issuing CA and cross-certificates where there are any, without the root.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let above = self.above.iter().map(|der| der.to_vec());
        [self.leaf.clone(), self.issuer.to_vec()].into_iter().chain(above).collect()
    }
}
