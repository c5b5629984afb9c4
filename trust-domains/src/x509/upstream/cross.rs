//! A cross-certificate: our root's name and key, signed by an upstream authority.

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::read::ReadCa;
use super::refused::UpstreamRefused;
use super::{MAX_UPSTREAM_LEN, UpstreamChain, certificates};
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::x509::certificate::{Certificate, ParseCertificateError};

/// How many signing certificates lie between a cross-certificate and a leaf: the issuing CA.
const SIGNING_BELOW: u32 = 1;

/// A cross-certificate with the upstream authority that signed it, both checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossCertificate {
    read: ReadCa,
    upstream: UpstreamChain,
}

impl CrossCertificate {
    /// Reads what an upstream authority returned: the cross-certificate first, then the authority's own certificates, the one that signed it first.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`UpstreamChain::new`], and when the text is not PEM or holds the cross-certificate alone.
    pub fn from_pem(text: &[u8], root: &[u8], trust_domain: &TrustDomain, now: Timestamp) -> Result<Self, UpstreamRefused> {
        let ders = certificates(text)?;
        if ders.len() > MAX_UPSTREAM_LEN + 1 {
            return Err(UpstreamRefused::TooLong {
                limit: MAX_UPSTREAM_LEN + 1,
                actual: ders.len(),
            });
        }
        let (cross, upstream) = ders.split_first().ok_or(UpstreamRefused::Empty)?;
        if Certificate::parse(cross).is_ok_and(|own| !is_of_key(&own, root)) {
            return Err(UpstreamRefused::OtherKey);
        }
        if upstream.is_empty() {
            return Err(UpstreamRefused::ChainMissing);
        }
        Self::new(cross, UpstreamChain::new(upstream, now)?, root, trust_domain, now)
    }

    /// Checks a cross-certificate of this root by this upstream authority.
    ///
    /// # Errors
    /// It is of another key, name or trust domain, the upstream authority did not sign it, it may not sign what our chains need, or it ends too soon.
    pub fn new(der: &[u8], upstream: UpstreamChain, root: &[u8], trust_domain: &TrustDomain, now: Timestamp) -> Result<Self, UpstreamRefused> {
        let read = ReadCa::parse(der, 0)?;
        if !is_of_key(&read.certificate, root) {
            return Err(UpstreamRefused::OtherKey);
        }
        if upstream.spki() == read.certificate.spki() {
            return Err(UpstreamRefused::OwnKey);
        }
        let unreadable = |_| UpstreamRefused::Certificate {
            position: 0,
            source: ParseCertificateError::Malformed,
        };
        let (_, own) = X509Certificate::from_der(root).map_err(unreadable)?;
        if read.subject_name != own.subject().as_raw() {
            return Err(UpstreamRefused::OtherName {
                expected: own.subject().to_string(),
                presented: read.subject(),
            });
        }
        let root_key_id = Certificate::parse(root).ok().and_then(|root| root.subject_key_id().map(<[u8]>::to_vec));
        if read.certificate.subject_key_id().is_some_and(|id| Some(id) != root_key_id.as_deref()) {
            return Err(UpstreamRefused::OtherKeyId);
        }
        match read.certificate.uri_sans() {
            [uri] if *uri != trust_domain.id().as_str() => return Err(UpstreamRefused::OtherTrustDomain { uri: uri.clone() }),
            _ => {}
        }
        read.check_signed_by(upstream.ca())?;
        read.check_signs_below(SIGNING_BELOW)?;
        read.check_life(now)?;
        Ok(Self { read, upstream })
    }

    /// Returns the cross-certificate in DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.read.der
    }

    /// Returns the upstream authority that signed it.
    #[must_use]
    pub fn upstream(&self) -> &UpstreamChain {
        &self.upstream
    }

    /// Returns the first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.read.certificate.not_before()
    }

    /// Returns when it ends, or one of those above it does.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.read.certificate.not_after().min(self.upstream.not_after())
    }
}

fn is_of_key(certificate: &Certificate, root: &[u8]) -> bool {
    Certificate::parse(root).is_ok_and(|root| root.spki() == certificate.spki())
}
