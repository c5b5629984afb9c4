//! The private key of an authority.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use platform::pkcs11::Pkcs11Error;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use thiserror::Error;
use trust_domains::jws::{Es256Signature, TokenAlgorithm};
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use zeroize::Zeroizing;

use super::public_half::PublicHalf;

/// A key that signs certificates or tokens, behind rcgen's [`SigningKey`]: the seam where PKCS#11 and key services go.
#[derive(Clone)]
pub struct AuthorityKey {
    public: PublicHalf,
    signer: Arc<dyn SigningKey + Send + Sync>,
    place: KeyPlace,
}

/// Where a private key is, and with it how long a signature may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a token or behind a service: signing blocks its thread until that answers.
    Elsewhere,
    /// In the memory of this process.
    Here,
}

/// A private key cannot be made or read.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system gave no key.
    #[error("the system makes no key")]
    Generate,
    /// The key is in a token, and none was named.
    #[error("the key is in a PKCS#11 token, and none is configured")]
    NoToken,
    /// No key for this algorithm is made in a token.
    #[error("keys for {algorithm} are not made in a PKCS#11 token")]
    NotInToken {
        /// What was asked for.
        algorithm: TokenAlgorithm,
    },
    /// The token does not do its part.
    #[error("the token of the signing keys cannot be used")]
    Token(#[from] Pkcs11Error),
    /// The stored octets are not a P-256 key in PKCS#8.
    #[error("the stored key is not a P-256 key")]
    Unreadable,
}

impl Coded for KeyError {
    fn code(&self) -> Code {
        match self {
            Self::Generate | Self::Unreadable => Code::Internal,
            Self::NoToken => Code::SigningKeyUnavailable,
            Self::NotInToken { .. } => Code::ConfigInvalid,
            Self::Token(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoToken => "name the token: --signing-keys 'pkcs11:token=LABEL?module-path=MODULE.so&pin-source=FILE'".to_owned(),
            Self::NotInToken { .. } => "sign with ES256 (--jwt-algorithm ES256), or make new keys in the store (--signing-keys store)".to_owned(),
            Self::Token(error) => error.hint(),
            Self::Generate | Self::Unreadable => self.code().facts().hint.to_owned(),
        }
    }
}

impl AuthorityKey {
    /// Makes a key, and returns it with the PKCS#8 document to seal.
    ///
    /// # Errors
    /// When the system makes none.
    pub fn generate() -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Generate)?;
        let pkcs8 = Zeroizing::new(pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?.as_ref().to_vec());
        Ok((Self::from_pkcs8(&pkcs8)?, pkcs8))
    }

    /// Reads a key from the PKCS#8 document that [`generate`](Self::generate) returned.
    ///
    /// # Errors
    /// When the octets are something else.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map_err(|_| KeyError::Unreadable)?;
        let public = PublicHalf::from_point(pair.public_key().as_ref()).ok_or(KeyError::Unreadable)?;
        Ok(Self {
            signer: Arc::new(LocalKey { pair, public: public.clone() }),
            public,
            place: KeyPlace::Here,
        })
    }

    /// Wraps a key that lives elsewhere. `None` when its public half is no point of P-256.
    #[must_use]
    pub fn from_signer(signer: Arc<dyn SigningKey + Send + Sync>) -> Option<Self> {
        Some(Self {
            public: PublicHalf::from_point(signer.der_bytes())?,
            signer,
            place: KeyPlace::Elsewhere,
        })
    }

    /// Returns where the key is.
    #[must_use]
    pub fn place(&self) -> KeyPlace {
        self.place
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicHalf {
        &self.public
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.public.public_key()
    }

    /// Signs octets: ECDSA P-256 with SHA-256, an ASN.1 signature.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign(message)
    }

    /// Signs octets for a token: the same signature, its two numbers side by side (RFC 7518 section 3.4).
    ///
    /// # Errors
    /// When the key does not sign, or what it returns is no ECDSA signature.
    pub(crate) fn sign_es256(&self, message: &[u8]) -> Result<Es256Signature, rcgen::Error> {
        Es256Signature::from_der(&self.sign(message)?).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl std::fmt::Debug for AuthorityKey {
    /// Shows which key it is, never what it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorityKey").field("id", &self.public.key_id()).finish_non_exhaustive()
    }
}

/// A key in this process.
struct LocalKey {
    pair: EcdsaKeyPair,
    public: PublicHalf,
}

impl PublicKeyData for LocalKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for LocalKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(signature.as_ref().to_vec())
    }
}
