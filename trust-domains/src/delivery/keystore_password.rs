//! The password of a set's key stores.

use std::fmt;

use zeroize::Zeroizing;

use crate::keystore::{Chance, KeyStoreError, check_password, generated_password};

/// The password of a set's key stores, and whether the set has to tell it. Every reader of key stores takes it.
#[derive(Clone)]
pub struct KeystorePassword {
    text: Zeroizing<String>,
    is_told: bool,
}

impl KeystorePassword {
    /// Takes a password that the readers have been told otherwise: no file of the set holds it.
    ///
    /// # Errors
    /// Readers would not take it: it is too short, too long, or not all printable ASCII.
    pub fn given(text: Zeroizing<String>) -> Result<Self, KeyStoreError> {
        check_password(&text)?;
        Ok(Self { text, is_told: false })
    }

    /// Takes a password that was generated before and is kept: it is a file of the set.
    ///
    /// # Errors
    /// As [`given`](Self::given).
    pub fn kept(text: Zeroizing<String>) -> Result<Self, KeyStoreError> {
        check_password(&text)?;
        Ok(Self { text, is_told: true })
    }

    /// Makes one that nobody can guess; it is a file of the set.
    #[must_use]
    pub fn generated(chance: &mut Chance<'_>) -> Self {
        Self {
            text: generated_password(chance),
            is_told: true,
        }
    }

    /// Returns the password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether it is a file of the set.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told
    }
}

impl fmt::Debug for KeystorePassword {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeystorePassword").field("is_told", &self.is_told).finish_non_exhaustive()
    }
}
