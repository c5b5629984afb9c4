//! Where the private keys of authorities are made, and how their stored form is opened again.
//!
//! Everything that makes an authority asks here, so that where a key lives is decided in one place and never seen above it.

use platform::pkcs11::KeyHandle;
use tokio::sync::watch;
use trust_domains::TrustDomain;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::AuthorityKind;

use super::hardware::Hardware;
use super::key::{AuthorityKey, KeyError};
use super::stored_key::StoredKey;
use super::token_signer::TokenSigner;
use crate::seal::SealedRecords;

/// Makes the keys of authorities and opens them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KeyStore {
    hardware: Option<Hardware>,
    new_keys: NewKeys,
}

/// Where new keys are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NewKeys {
    /// In this process; the sealed record holds them.
    #[default]
    Here,
    /// In the token.
    InToken,
}

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
    /// Returns the store of keys in a token, and of those in sealed records beside them.
    pub(crate) fn with_token(hardware: Hardware, new_keys: NewKeys) -> Self {
        Self {
            hardware: Some(hardware),
            new_keys,
        }
    }

    /// Makes the key of a CA, and returns it with its stored form.
    ///
    /// # Errors
    /// When none is made.
    pub(crate) async fn make(&self, trust_domain: &TrustDomain, kind: AuthorityKind) -> Result<(AuthorityKey, StoredKey), KeyError> {
        match self.maker() {
            Some(hardware) => {
                let (key, place) = hardware.make(label(trust_domain, kind)).await?;
                Ok((key, StoredKey::Token(place)))
            }
            None => {
                let (key, pkcs8) = AuthorityKey::generate()?;
                Ok((key, StoredKey::Pkcs8(pkcs8)))
            }
        }
    }

    /// Makes a key that signs tokens, and returns it with its stored form.
    ///
    /// # Errors
    /// When none is made; one for RS256 is made in no PKCS#11 token.
    pub(super) async fn make_token_key(
        &self,
        trust_domain: &TrustDomain,
        kind: AuthorityKind,
        algorithm: TokenAlgorithm,
    ) -> Result<(TokenSigner, StoredKey), KeyError> {
        self.refuse(algorithm)?;
        if self.maker().is_some() {
            let (key, stored) = self.make(trust_domain, kind).await?;
            return Ok((TokenSigner::Es256(key), stored));
        }
        let (signer, pkcs8) = TokenSigner::make(algorithm).await?;
        Ok((signer, StoredKey::Pkcs8(pkcs8)))
    }

    /// Refuses an algorithm for which no key would be made here: before a server starts, not when its next key is due.
    ///
    /// # Errors
    /// [`KeyError::NotInToken`].
    pub(crate) fn refuse(&self, algorithm: TokenAlgorithm) -> Result<(), KeyError> {
        match (self.maker(), algorithm) {
            (Some(_), TokenAlgorithm::Rs256) => Err(KeyError::NotInToken { algorithm }),
            (Some(_), TokenAlgorithm::Es256) | (None, _) => Ok(()),
        }
    }

    /// Opens the key of a CA. A token is not asked: it may be away.
    ///
    /// # Errors
    /// When the stored form is of something else, or of a token that was not named.
    pub(crate) fn open(&self, stored: &StoredKey) -> Result<AuthorityKey, KeyError> {
        match stored {
            StoredKey::Pkcs8(octets) => AuthorityKey::from_pkcs8(octets),
            StoredKey::Token(place) => self.hardware.as_ref().ok_or(KeyError::NoToken)?.open_key(place),
        }
    }

    /// Opens a key that signs tokens.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn open_token_key(&self, algorithm: TokenAlgorithm, stored: &StoredKey) -> Result<TokenSigner, KeyError> {
        match stored {
            StoredKey::Pkcs8(octets) => TokenSigner::from_pkcs8(algorithm, octets),
            StoredKey::Token(_) => self.open(stored).map(TokenSigner::Es256),
        }
    }

    /// Destroys a key, where that takes more than deleting its record. What cannot be destroyed now stays in its token, and the log says what it is called:
    /// the life of the authorities must not wait for a token that was taken away for good.
    pub(super) async fn destroy(&self, stored: &StoredKey) {
        let (Some(place), Some(hardware)) = (stored.in_token(), &self.hardware) else {
            return;
        };
        if let Err(error) = hardware.destroy(place).await {
            tracing::warn!(%error, id = %place.handle(), "a key that is not used any more stays in its token; destroy it there, by its id");
        }
    }

    /// Looks whether keys are where they should be.
    ///
    /// # Errors
    /// When a token is away, or has not got one of them.
    pub(super) async fn check(&self, stored: &[&StoredKey]) -> Result<(), KeyError> {
        let places: Vec<KeyHandle> = stored.iter().filter_map(|stored| Some(stored.in_token()?.handle())).collect();
        match (&self.hardware, places.is_empty()) {
            (Some(hardware), false) => hardware.check(places).await,
            _ => Ok(()),
        }
    }

    /// Returns what is wrong with the token of the keys, and each change of it; `None` where none is used.
    pub(crate) fn trouble(&self) -> Option<watch::Receiver<Option<String>>> {
        self.hardware.as_ref().map(Hardware::trouble)
    }

    fn maker(&self) -> Option<&Hardware> {
        self.hardware.as_ref().filter(|_| self.new_keys == NewKeys::InToken)
    }
}

/// What people see in the token. Keys are found by their ids.
fn label(trust_domain: &TrustDomain, kind: AuthorityKind) -> String {
    format!("troth {trust_domain} {kind}")
}
