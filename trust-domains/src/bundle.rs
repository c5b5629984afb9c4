//! Trust bundles: the keys by which the SVIDs of one trust domain are verified, and no other's.

mod authority;
mod json;
mod jwks;
mod parse;
mod partner;
mod pem;
mod raw;
mod wire;

use std::time::Duration;

use rustls_pki_types::CertificateDer;

pub use authority::{AuthorityRefused, X509Authority};
pub use json::PublicJwk;
pub use parse::{MAX_BUNDLE_BYTES, MAX_BUNDLE_KEYS, ParseBundleError, ParsedBundle, SkipReason, SkippedKey};
pub use partner::{BundleOutdated, BundleSource, PartnerBundle, Replacement};
pub use wire::SpiffeBundle;

pub(crate) use json::without_hint;
pub(crate) use raw::RawDocument;

use crate::problem::{Code, Coded};
use crate::trust_domain::TrustDomain;
use crate::x509::SvidError;

/// How often a bundle without a refresh hint is fetched (BUN-11).
pub const DEFAULT_REFRESH: Duration = Duration::from_secs(300);

/// The bundle of one trust domain. Cheap to clone; an empty one means that nothing of this domain is trusted (BUN-07).
///
/// A validator picks the bundle by the trust domain of the SVID (BUN-10): there is no way to join two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    x509_authorities: Vec<X509Authority>,
    jwt_authorities: Vec<PublicJwk>,
    wit_authorities: Vec<PublicJwk>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl TrustBundle {
    /// Returns an empty bundle, by which nothing is trusted.
    #[must_use]
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            x509_authorities: Vec::new(),
            jwt_authorities: Vec::new(),
            wit_authorities: Vec::new(),
            sequence: None,
            refresh_hint: None,
        }
    }

    /// Adds a root in DER; one that is there already is not added twice.
    ///
    /// # Errors
    ///
    /// When the certificate is not a signing certificate with a key that bundles can express.
    pub fn with_x509_authority(self, der: &[u8]) -> Result<Self, AuthorityRefused> {
        Ok(self.with_parsed_authority(X509Authority::parse(der)?))
    }

    /// Adds a root that was read already; one that is there is not added twice.
    #[must_use]
    pub fn with_parsed_authority(mut self, authority: X509Authority) -> Self {
        if !self.x509_authorities.contains(&authority) {
            self.x509_authorities.push(authority);
        }
        self
    }

    /// Adds a key of JWT-SVIDs (JWT-14); a token key with its identifier that is there already stands (WIT-22).
    #[must_use]
    pub fn with_jwt_authority(mut self, key: PublicJwk) -> Self {
        if !self.has_token_key(&key) {
            self.jwt_authorities.push(key);
        }
        self
    }

    /// Adds a key of WIT-SVIDs; a token key with its identifier that is there already stands (WIT-22).
    #[must_use]
    pub fn with_wit_authority(mut self, key: PublicJwk) -> Self {
        if !self.has_token_key(&key) {
            self.wit_authorities.push(key);
        }
        self
    }

    fn has_token_key(&self, key: &PublicJwk) -> bool {
        let mut keys = self.jwt_authorities.iter().chain(&self.wit_authorities);
        keys.any(|known| known.key_id() == key.key_id())
    }

    /// Returns the bundle with this sequence number, which must grow with every change (BUN-03).
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// Returns the bundle with this refresh hint, in whole seconds (BUN-04).
    #[must_use]
    pub fn with_refresh_hint(mut self, hint: Duration) -> Self {
        self.refresh_hint = Some(Duration::from_secs(hint.as_secs()));
        self
    }

    /// Returns the bundle without a refresh hint, as Bundle Maps have it (BUN-14).
    #[must_use]
    pub fn without_refresh_hint(mut self) -> Self {
        self.refresh_hint = None;
        self
    }

    /// Reads a SPIFFE bundle document. What was skipped is told by [`ParsedBundle::parse`].
    ///
    /// # Errors
    ///
    /// When the document as a whole is no bundle; entries that are not understood are skipped (BUN-06).
    pub fn parse_spiffe_json(trust_domain: &TrustDomain, document: &[u8]) -> Result<Self, ParseBundleError> {
        ParsedBundle::parse(trust_domain, document).map(|parsed| parsed.bundle)
    }

    /// Reads the roots of a bundle in DER, one after the other, as the Workload API sends them; of no octets an empty bundle.
    ///
    /// # Errors
    ///
    /// When the octets do not divide into at most [`MAX_BUNDLE_KEYS`] certificates, or one of them cannot be a root.
    pub fn from_der_concat(trust_domain: TrustDomain, der: &[u8]) -> Result<Self, DerBundleError> {
        let roots = crate::x509::split_der_up_to(der, MAX_BUNDLE_KEYS)?;
        let mut bundle = Self::new(trust_domain);
        for root in &roots {
            bundle = bundle.with_x509_authority(root)?;
        }
        Ok(bundle)
    }

    /// Returns whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the roots of X509-SVIDs.
    #[must_use]
    pub fn x509_authorities(&self) -> &[X509Authority] {
        &self.x509_authorities
    }

    /// Returns the keys of JWT-SVIDs.
    #[must_use]
    pub fn jwt_authorities(&self) -> &[PublicJwk] {
        &self.jwt_authorities
    }

    /// Returns the keys of WIT-SVIDs.
    #[must_use]
    pub fn wit_authorities(&self) -> &[PublicJwk] {
        &self.wit_authorities
    }

    /// Returns the sequence number.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Returns how often the publisher wants it to be fetched.
    #[must_use]
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// Returns whether it holds no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x509_authorities.is_empty() && self.jwt_authorities.is_empty() && self.wit_authorities.is_empty()
    }

    /// Returns whether both bundles hold the same keys in the same order, whatever their sequence and hint.
    #[must_use]
    pub fn has_same_keys(&self, other: &Self) -> bool {
        self.x509_authorities == other.x509_authorities && self.jwt_authorities == other.jwt_authorities && self.wit_authorities == other.wit_authorities
    }

    /// Returns the roots in DER.
    pub fn x509_ders(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.x509_authorities.iter().map(X509Authority::der)
    }

    /// Returns the roots as PEM, one block after the other.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.x509_ders().map(|der| crate::x509::to_pem(der)).collect()
    }

    /// Returns the roots in DER, one after the other, as the Workload API sends them.
    #[must_use]
    pub fn x509_der_concat(&self) -> Vec<u8> {
        self.x509_ders().flat_map(|der| der.iter().copied()).collect()
    }
}

/// Octets are not the roots of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerBundleError {
    /// They do not divide into certificates.
    #[error("the bundle does not divide into certificates")]
    NotCertificates(#[from] SvidError),
    /// One of them cannot be a root.
    #[error("a certificate of the bundle is not taken as a root")]
    NotARoot(#[from] AuthorityRefused),
}

impl Coded for DerBundleError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

#[cfg(test)]
mod tests;
