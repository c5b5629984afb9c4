//! Private keys: made here, never sent anywhere.

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use zeroize::Zeroizing;

/// A P-256 key pair, of the node or of a workload. Its PKCS#8 form is wiped on drop.
pub struct KeyPair {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

/// A key cannot be made, read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The generator or the signature failed.
    #[error("the cryptographic library failed")]
    Failed,
    /// The stored key is no P-256 key.
    #[error("the stored private key is not a P-256 key")]
    Malformed,
}

impl Coded for KeyError {
    fn code(&self) -> Code {
        Code::Internal
    }
}

impl KeyPair {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Failed)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Failed)?;
        let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
        let public = PublicKey::from_sec1(pair.public_key().as_ref()).map_err(|_| KeyError::Failed)?;
        Ok(Self { pair, pkcs8, public })
    }

    /// Reads a stored key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map_err(|_| KeyError::Malformed)?;
        let public = PublicKey::from_sec1(pair.public_key().as_ref()).map_err(|_| KeyError::Malformed)?;
        Ok(Self {
            pair,
            pkcs8: Zeroizing::new(der.to_vec()),
            public,
        })
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Shows the private key (PKCS#8 in DER), to whoever stores or hands it out.
    #[must_use]
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// Returns the private number: big-endian, of the length of the curve's order (RFC 7518 section 6.2.2.1). It is wiped on drop.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub(crate) fn scalar(&self) -> Result<EcPrivateKeyBin<'static>, KeyError> {
        self.pair.private_key().as_be_bytes().map_err(|_| KeyError::Failed)
    }

    /// Signs a message (ECDSA with SHA-256, ASN.1).
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeyError::Failed)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_the_same_key() {
        let made = KeyPair::generate().unwrap();
        let read = KeyPair::from_pkcs8(made.pkcs8()).unwrap();
        assert_eq!(read.public(), made.public());
        made.public().verify(b"message", &read.sign(b"message").unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(KeyPair::from_pkcs8(b"no key").unwrap_err(), KeyError::Malformed);
    }
}
