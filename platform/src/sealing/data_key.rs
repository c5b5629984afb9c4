//! The key that a store's records are sealed under.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random::{self, RandomError};

/// 32 random octets, wiped on drop and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; Self::LEN]);

impl DataKey {
    /// The length: AES-256.
    pub const LEN: usize = 32;

    /// Makes a new key.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate() -> Result<Self, RandomError> {
        let mut key = Self([0; Self::LEN]);
        random::fill(&mut key.0)?;
        Ok(key)
    }

    /// Takes octets that are a key already. `None` when there are not exactly 32.
    #[must_use]
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }

    /// Shows the octets, to whoever wraps or uses them.
    pub(crate) fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", DataKey::generate().unwrap()), "DataKey(..)");
    }

    #[test]
    fn only_32_octets_are_a_key() {
        assert!(DataKey::from_slice(&[7; 32]).is_some());
        assert!(DataKey::from_slice(&[7; 31]).is_none());
        assert!(DataKey::from_slice(&[7; 33]).is_none());
    }
}
