//! The proof of who a peer is.

use crate::public_key::{KeyHash, PublicKey, PublicKeyError};
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::x509::certificate::Certificate;

/// Who a peer is: proof that its chain was verified against a bundle of its own trust domain. Only [`verify_svid`](super::verify_svid) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPeer {
    spiffe_id: SpiffeId,
    leaf: Certificate,
    key_hash: KeyHash,
    issuer_key_id: Option<String>,
}

impl VerifiedPeer {
    pub(super) fn new(spiffe_id: SpiffeId, leaf: Certificate) -> Self {
        let key_hash = KeyHash::of_spki(leaf.spki());
        let issuer_key_id = leaf.authority_key_id().map(hex::encode);
        Self {
            spiffe_id,
            leaf,
            key_hash,
            issuer_key_id,
        }
    }

    /// Returns the peer's identity.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the SHA-256 of the public key that the handshake proved.
    #[must_use]
    pub fn key_hash(&self) -> &KeyHash {
        &self.key_hash
    }

    /// Returns the public key itself.
    ///
    /// # Errors
    ///
    /// When it is not a P-256 key, as it may be with a partner's workload, never with ours.
    pub fn public_key(&self) -> Result<PublicKey, PublicKeyError> {
        PublicKey::from_spki(self.leaf.spki())
    }

    /// Returns the certificate's serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        self.leaf.serial()
    }

    /// Returns the first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.leaf.not_before()
    }

    /// Returns the last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.leaf.not_after()
    }

    /// Returns the key identifier of the authority that signed it, in lower-case hex, as the certificate names it.
    #[must_use]
    pub fn issuer_key_id(&self) -> Option<&str> {
        self.issuer_key_id.as_deref()
    }

    /// Returns the certificate.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }
}
