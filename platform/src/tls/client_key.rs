//! The key of a certificate that a machine has from elsewhere, for proofs outside of TLS handshakes.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use thiserror::Error;
use trust_domains::x509::PopAlgorithm;

/// What proofs may be signed with, the better first, and what it is called on the wire.
const ALGORITHMS: [(SignatureScheme, PopAlgorithm); 4] = [
    (SignatureScheme::ED25519, PopAlgorithm::Ed25519),
    (SignatureScheme::ECDSA_NISTP256_SHA256, PopAlgorithm::EcdsaP256Sha256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, PopAlgorithm::EcdsaP384Sha384),
    (SignatureScheme::RSA_PSS_SHA256, PopAlgorithm::RsaPssSha256),
];

/// A private key of a kind that certificates have.
#[derive(Clone)]
pub struct ClientKey(Arc<dyn SigningKey>);

/// A key cannot be used.
#[derive(Debug, Error)]
pub enum ClientKeyError {
    /// It is of a kind that proofs are not made with.
    #[error("it is neither an EC key of P-256 or P-384, nor Ed25519, nor RSA of at least 2,048 bits")]
    Kind,
    /// It is no private key in PEM.
    #[error("there is no private key in PEM")]
    NotPem,
    /// It did not sign.
    #[error("it did not sign")]
    Sign(#[source] rustls::Error),
}

impl ClientKey {
    /// Reads a key in PEM: PKCS#8, or the older forms for EC and RSA.
    ///
    /// # Errors
    /// It is none, or of a kind that proofs are not made with.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ClientKeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| ClientKeyError::NotPem)?;
        any_supported_type(&der).map(Self).map_err(|_| ClientKeyError::Kind)
    }

    /// Signs a message, and says with what.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn sign(&self, message: &[u8]) -> Result<(PopAlgorithm, Vec<u8>), ClientKeyError> {
        let offered = ALGORITHMS.map(|(scheme, _)| scheme);
        let signer = self.0.choose_scheme(&offered).ok_or(ClientKeyError::Kind)?;
        let chosen = ALGORITHMS.into_iter().find(|(scheme, _)| *scheme == signer.scheme());
        let (_, algorithm) = chosen.ok_or(ClientKeyError::Kind)?;
        Ok((algorithm, signer.sign(message).map_err(ClientKeyError::Sign)?))
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey(..)")
    }
}
