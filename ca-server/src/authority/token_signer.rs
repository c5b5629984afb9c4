//! The private key of a token key, by the algorithm that it signs with.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use trust_domains::bundle::PublicJwk;
use trust_domains::jws::{TokenAlgorithm, TokenSignature};
use trust_domains::plan::authority::AuthorityId;
use zeroize::Zeroizing;

use super::key::{AuthorityKey, KeyError, KeyPlace};
use super::public_half::KeyId;

/// The size of an RSA key: what relying parties everywhere take. A key lives for a week, so more would buy nothing but longer tokens.
const RSA_SIZE: KeySize = KeySize::Rsa2048;

/// A key that signs tokens.
#[derive(Clone)]
pub(super) enum TokenSigner {
    Es256(AuthorityKey),
    Rs256(Arc<RsaKeyPair>),
}

impl TokenSigner {
    /// Makes a key, and returns it with the PKCS#8 document to seal. One of RSA takes up to a second, and a thread of its own.
    pub(super) async fn make(algorithm: TokenAlgorithm) -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        match algorithm {
            TokenAlgorithm::Es256 => Self::generate(algorithm),
            TokenAlgorithm::Rs256 => {
                let made = tokio::task::spawn_blocking(move || Self::generate(algorithm)).await;
                made.unwrap_or(Err(KeyError::Generate))
            }
        }
    }

    fn generate(algorithm: TokenAlgorithm) -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        match algorithm {
            TokenAlgorithm::Es256 => {
                let (key, pkcs8) = AuthorityKey::generate()?;
                Ok((Self::Es256(key), pkcs8))
            }
            TokenAlgorithm::Rs256 => {
                let pair = RsaKeyPair::generate(RSA_SIZE).map_err(|_| KeyError::Generate)?;
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError::Generate)?;
                let pkcs8 = Zeroizing::new(der.as_ref().to_vec());
                Ok((Self::Rs256(Arc::new(pair)), pkcs8))
            }
        }
    }

    /// Reads a key from the PKCS#8 document that [`generate`](Self::generate) returned.
    pub(super) fn from_pkcs8(algorithm: TokenAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        match algorithm {
            TokenAlgorithm::Es256 => AuthorityKey::from_pkcs8(pkcs8).map(Self::Es256),
            TokenAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unreadable)?;
                Ok(Self::Rs256(Arc::new(pair)))
            }
        }
    }

    pub(super) fn algorithm(&self) -> TokenAlgorithm {
        match self {
            Self::Es256(_) => TokenAlgorithm::Es256,
            Self::Rs256(_) => TokenAlgorithm::Rs256,
        }
    }

    /// Returns where the key is.
    pub(super) fn place(&self) -> KeyPlace {
        match self {
            Self::Es256(key) => key.place(),
            Self::Rs256(_) => KeyPlace::Here,
        }
    }

    /// Returns what the key is known by.
    pub(super) fn key_id(&self) -> Result<KeyId, KeyError> {
        match self {
            Self::Es256(key) => Ok(key.public().key_id()),
            Self::Rs256(pair) => {
                let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| KeyError::Unreadable)?;
                Ok(KeyId::of_spki(spki.as_ref()))
            }
        }
    }

    /// Returns the public key as a bundle has it.
    pub(super) fn jwk(&self, kid: &AuthorityId) -> PublicJwk {
        match self {
            Self::Es256(key) => PublicJwk::es256(kid, key.public_key()),
            Self::Rs256(pair) => {
                let key = pair.public_key();
                let (modulus, exponent) = (key.modulus(), key.exponent());
                PublicJwk::rs256(kid, modulus.big_endian_without_leading_zero(), exponent.big_endian_without_leading_zero())
            }
        }
    }

    /// Signs what makes a token.
    pub(super) fn sign(&self, message: &[u8]) -> Result<TokenSignature, rcgen::Error> {
        match self {
            Self::Es256(key) => key.sign_es256(message).map(TokenSignature::Es256),
            Self::Rs256(pair) => {
                let mut octets = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut octets)
                    .map_err(|_| rcgen::Error::RingUnspecified)?;
                Ok(TokenSignature::Rs256(octets.into()))
            }
        }
    }
}
