//! The private key of an upstream authority: read from a file for one signature, never stored.

use std::sync::Arc;

use platform::tls::provider;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, Signer};
use trust_domains::x509::UpstreamChain;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::error::UpstreamError;
use super::files::UpstreamFiles;

/// What an upstream key signs with, each in the form that verifiers know best; the first that the key can do is taken.
const SCHEMES: [(SignatureScheme, &SignatureAlgorithm); 5] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, &PKCS_ECDSA_P256_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &PKCS_ECDSA_P384_SHA384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, &PKCS_ECDSA_P521_SHA512),
    (SignatureScheme::ED25519, &PKCS_ED25519),
    (SignatureScheme::RSA_PKCS1_SHA256, &PKCS_RSA_SHA256),
];

/// The key of an upstream authority, which fits its certificate. Dropped, and with it wiped by aws-lc, as soon as it has signed.
pub(crate) struct UpstreamKey {
    signer: Box<dyn Signer>,
    half: UpstreamHalf,
}

/// The public half, as rcgen takes it: like [`PublicHalf`](crate::authority::PublicHalf) it encodes and cannot sign.
pub(super) struct UpstreamHalf {
    public_key: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl UpstreamKey {
    /// Reads a key in PEM (PKCS#8, SEC1 or PKCS#1) that must be the one of the authority's certificate.
    pub(super) fn read(pem: &[u8], chain: &UpstreamChain, files: &UpstreamFiles) -> Result<Self, UpstreamError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| UpstreamError::NoKey { path: files.key.clone() })?;
        let does_not_fit = |source| UpstreamError::KeyDoesNotFit { files: files.clone(), source };
        let key = provider().key_provider.load_private_key(der).map_err(does_not_fit)?;
        CertifiedKey::new(chain.ders(), Arc::clone(&key)).keys_match().map_err(does_not_fit)?;
        let found = SCHEMES
            .iter()
            .find_map(|(scheme, algorithm)| Some((key.choose_scheme(&[*scheme])?, *algorithm)));
        let (signer, algorithm) = found.ok_or_else(|| UpstreamError::NoKey { path: files.key.clone() })?;
        let half = UpstreamHalf::of(chain, algorithm)?;
        Ok(Self { signer, half })
    }

    /// Returns the public half.
    pub(super) fn half(&self) -> &UpstreamHalf {
        &self.half
    }

    /// Signs octets.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl std::fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamKey(..)")
    }
}

impl UpstreamHalf {
    fn of(chain: &UpstreamChain, algorithm: &'static SignatureAlgorithm) -> Result<Self, UpstreamError> {
        let (_, parsed) = X509Certificate::from_der(chain.signing()).map_err(|_| UpstreamError::Encode)?;
        Ok(Self {
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            algorithm,
        })
    }
}

impl PublicKeyData for &UpstreamHalf {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for &UpstreamHalf {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0])
    }
}
