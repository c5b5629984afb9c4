//! The public half of an authority: all that the encoder of a certificate ever sees.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::public_key::PublicKey;

/// What names a key in certificates (SKI, AKI), in the journal and in the store: the first 160 bits of the SHA-256 of its SubjectPublicKeyInfo
/// (as RFC 7093 section 2, method 4, shortened to the length that every relying party expects).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 20]);

impl KeyId {
    /// Returns the id of a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self::of_spki(key.spki())
    }

    /// Returns the id of the key with this SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut id = [0; 20];
        id.iter_mut().zip(digest(&SHA256, spki).as_ref()).for_each(|(octet, hashed)| *octet = *hashed);
        Self(id)
    }

    /// Returns the octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the id of the authority with this key.
    #[must_use]
    #[expect(clippy::expect_used, reason = "20 octets are within the 1 to 32 of an authority's id")]
    pub fn authority_id(&self) -> AuthorityId {
        AuthorityId::from_key_id(&self.0).expect("20 octets")
    }

    /// Returns the four octets that name the issuer in the serials it gives.
    #[must_use]
    pub fn serial_tag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A public P-256 key as rcgen takes it, with no private key behind it.
///
/// It stands in for the issuer while a certificate is encoded, so that preparing one cannot sign: what it "signs" is a single zero octet, which the
/// stages throw away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalf {
    key: PublicKey,
    id: KeyId,
}

impl PublicHalf {
    /// Wraps a public key.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self { id: KeyId::of(&key), key }
    }

    /// Wraps an uncompressed point, if it is one on the curve.
    #[must_use]
    pub fn from_point(point: &[u8]) -> Option<Self> {
        PublicKey::from_sec1(point).ok().map(Self::new)
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the key's id.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.id
    }
}

impl PublicKeyData for PublicHalf {
    fn der_bytes(&self) -> &[u8] {
        self.key.sec1()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for PublicHalf {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0])
    }
}

/// A subject's public key as rcgen takes it, borrowed.
pub(crate) struct Subject<'a>(pub(crate) &'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.sec1()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
