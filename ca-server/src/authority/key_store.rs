//! Where the private keys of authorities are made, and how their stored form is opened again.
//!
//! Everything that makes an authority asks here, so that where a key lives is decided in one place and never seen above it.

use trust_domains::jws::TokenAlgorithm;

use super::key::{AuthorityKey, KeyError};
use super::stored_key::StoredKey;
use super::token_signer::TokenSigner;
use crate::seal::SealedRecords;

/// Makes the keys of authorities and opens them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KeyStore {}

/// What opens stored authorities: their records are sealed, and their keys are where the key store put them.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Seals and opens the records.
    pub records: SealedRecords,
    /// Makes and opens the keys.
    pub keys: KeyStore,
}

impl Vault {
    /// Returns the vault of a server whose keys are in its sealed records.
    #[must_use]
    pub fn local(records: SealedRecords) -> Self {
        Self {
            records,
            keys: KeyStore::default(),
        }
    }
}

impl KeyStore {
    /// Makes the key of a CA, and returns it with its stored form.
    ///
    /// # Errors
    /// When none is made.
    pub(crate) async fn make(&self) -> Result<(AuthorityKey, StoredKey), KeyError> {
        let (key, pkcs8) = AuthorityKey::generate()?;
        Ok((key, StoredKey::Pkcs8(pkcs8)))
    }

    /// Makes a key that signs tokens, and returns it with its stored form.
    ///
    /// # Errors
    /// When none is made.
    pub(super) async fn make_token_key(&self, algorithm: TokenAlgorithm) -> Result<(TokenSigner, StoredKey), KeyError> {
        let (signer, pkcs8) = TokenSigner::make(algorithm).await?;
        Ok((signer, StoredKey::Pkcs8(pkcs8)))
    }

    /// Opens the key of a CA.
    ///
    /// # Errors
    /// When the stored form is of something else.
    pub(crate) fn open(&self, stored: &StoredKey) -> Result<AuthorityKey, KeyError> {
        match stored {
            StoredKey::Pkcs8(octets) => AuthorityKey::from_pkcs8(octets),
        }
    }

    /// Opens a key that signs tokens.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn open_token_key(&self, algorithm: TokenAlgorithm, stored: &StoredKey) -> Result<TokenSigner, KeyError> {
        match stored {
            StoredKey::Pkcs8(octets) => TokenSigner::from_pkcs8(algorithm, octets),
        }
    }
}
