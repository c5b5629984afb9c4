//! Upstream authorities: CAs outside of the trust domain that certify our root's key, so that whoever believes them believes our leaves too.
//!
//! What they sign is a *cross-certificate*: our root's name and key under their signature (RFC 5280 section 3.2). It replaces nothing. Everything about it is
//! checked here, before it is signed and before one that somebody brings is taken: a path that some verifier cannot walk is found out now and not by a peer.

mod cross;
mod read;
mod refused;
mod signature;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::plan::authority::AuthorityId;
use crate::public_key::KeyHash;
use crate::timestamp::Timestamp;

pub use cross::CrossCertificate;
pub use refused::UpstreamRefused;

use super::svid::certificates_of_pem;
use read::ReadCa;

/// The most certificates of an upstream authority, from the one that signs to its root. With leaf, issuing CA and cross-certificate they stay within the six
/// signing certificates that webpki follows, and within [`MAX_CHAIN_LEN`](super::MAX_CHAIN_LEN).
pub const MAX_UPSTREAM_LEN: usize = 4;

/// What an upstream authority must still have to live: twice the longest life of a leaf, as our own authorities have before they sign one.
pub const LEAST_LEFT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// How many signing certificates lie between an upstream authority and a leaf: the cross-certificate and the issuing CA.
const SIGNING_BELOW: u32 = 2;

/// An upstream authority: the CA that signs, then those above it. Every certificate may sign what our chains need, and each is signed by the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamChain(Vec<ReadCa>);

impl UpstreamChain {
    /// Reads the certificates of a PEM text, the one that signs first.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the text is not PEM.
    pub fn from_pem(text: &[u8], now: Timestamp) -> Result<Self, UpstreamRefused> {
        Self::new(&certificates(text)?, now)
    }

    /// Checks the certificates of an upstream authority, the one that signs first. Its root need not be there.
    ///
    /// # Errors
    /// The first reason why verifiers would not follow a path through them, or not for long.
    pub fn new(ders: &[CertificateDer<'_>], now: Timestamp) -> Result<Self, UpstreamRefused> {
        if ders.len() > MAX_UPSTREAM_LEN {
            return Err(UpstreamRefused::TooLong {
                limit: MAX_UPSTREAM_LEN,
                actual: ders.len(),
            });
        }
        let chain = ders
            .iter()
            .zip(0..)
            .map(|(der, position)| ReadCa::parse(der, position))
            .collect::<Result<Vec<_>, _>>()?;
        let signing = chain.first().ok_or(UpstreamRefused::Empty)?;
        if signing.certificate.subject_key_id().is_none() {
            return Err(UpstreamRefused::NoKeyId { subject: signing.subject() });
        }
        let mut between = SIGNING_BELOW;
        for ca in &chain {
            ca.check_signs_below(between)?;
            ca.check_life(now)?;
            // Self-issued certificates do not count (RFC 5280 section 4.2.1.9).
            between += u32::from(!ca.certificate.is_self_issued());
        }
        for pair in chain.windows(2) {
            let [lower, upper] = pair else { continue };
            lower.check_signed_by(upper)?;
        }
        Ok(Self(chain))
    }

    /// Returns the certificate of the CA that signs.
    #[must_use]
    pub fn signing(&self) -> &CertificateDer<'static> {
        &self.ca().der
    }

    #[expect(clippy::expect_used, reason = "new takes no empty chain")]
    fn ca(&self) -> &ReadCa {
        self.0.first().expect("a chain has a certificate")
    }

    /// Returns the name of the CA that signs, as text.
    #[must_use]
    pub fn subject(&self) -> String {
        self.ca().subject()
    }

    /// Returns the DER SubjectPublicKeyInfo of the CA that signs.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        self.ca().certificate.spki()
    }

    /// Returns what its key is known by here: the first 160 bits of the SHA-256 of its SubjectPublicKeyInfo, whatever its certificates call it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "20 octets are within the 1 to 32 of an authority's id")]
    pub fn key_id(&self) -> AuthorityId {
        let hash = KeyHash::of_spki(self.spki());
        let short = hash.as_bytes().first_chunk::<20>().expect("32 octets");
        AuthorityId::from_key_id(short).expect("20 octets")
    }

    /// Returns the path length that a cross-certificate may state: one less than the CA that signs, or none where that has none.
    #[must_use]
    pub fn path_len_below(&self) -> Option<u32> {
        let own = self.ca().certificate.basic_constraints().and_then(|constraints| constraints.path_len);
        own.map(|path_len| path_len.saturating_sub(1))
    }

    /// Returns when the first of them starts to hold for all.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.iter().map(|ca| ca.certificate.not_before()).max().unwrap_or(Timestamp::from_unix(0))
    }

    /// Returns when the first of them ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.iter().map(|ca| ca.certificate.not_after()).min().unwrap_or(Timestamp::from_unix(0))
    }

    /// Returns all of its certificates in DER, the one that signs first.
    #[must_use]
    pub fn ders(&self) -> Vec<CertificateDer<'static>> {
        self.0.iter().map(|ca| ca.der.clone()).collect()
    }

    /// Returns what follows a cross-certificate in a chain: every certificate but the root, which verifiers hold.
    #[must_use]
    pub fn intermediates(&self) -> Vec<CertificateDer<'static>> {
        let below = self.0.iter().filter(|ca| !ca.certificate.is_self_issued());
        below.map(|ca| ca.der.clone()).collect()
    }

    /// Returns the root of the upstream authority, if it is there: its self-issued certificate.
    #[must_use]
    pub fn root(&self) -> Option<&CertificateDer<'static>> {
        self.0.last().filter(|ca| ca.certificate.is_self_issued()).map(|ca| &ca.der)
    }
}

/// Returns the certificates of a PEM text, of which there is at least one.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, UpstreamRefused> {
    certificates_of_pem(text).map_err(|_| UpstreamRefused::NotPem)
}
