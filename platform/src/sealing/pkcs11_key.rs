//! A key source in a PKCS#11 token: the wrapping key never leaves it.

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use super::kind::KeySourceKind;
use super::spec::Opening;
use crate::pkcs11::{Pkcs11Error, Pkcs11Uri, WrappingKey};

/// A wrapping key in a token. Wrapping and unwrapping block their thread until the token has answered.
#[derive(Debug)]
pub struct Pkcs11KeySource {
    key: WrappingKey,
}

impl Pkcs11KeySource {
    /// Finds the key that the URI names; for a data key that is new to it, a missing one is made in the token.
    ///
    /// # Errors
    /// [`KeySourceError::Pkcs11`].
    pub fn open(uri: &Pkcs11Uri, opening: Opening) -> Result<Self, KeySourceError> {
        let key = match opening {
            Opening::Existing => WrappingKey::open(uri)?,
            Opening::New => WrappingKey::open_or_make(uri)?,
        };
        Ok(Self { key })
    }
}

impl KeySource for Pkcs11KeySource {
    fn wrap(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, KeySourceError> {
        Ok(self.key.seal(&associated(context), key.expose())?)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<DataKey, KeySourceError> {
        let octets = self.key.open_sealed(&associated(context), wrapped).map_err(|error| match error {
            Pkcs11Error::DoesNotFit { .. } => KeySourceError::DoesNotFit { source_name: self.describe() },
            other => other.into(),
        })?;
        DataKey::from_slice(&octets).ok_or_else(|| KeySourceError::DoesNotFit { source_name: self.describe() })
    }

    fn kind(&self) -> KeySourceKind {
        KeySourceKind::Pkcs11
    }

    fn describe(&self) -> String {
        self.key.describe()
    }
}

fn associated(context: &str) -> Vec<u8> {
    envelope::framed(&[b"troth-data-key-pkcs11", context.as_bytes()])
}
