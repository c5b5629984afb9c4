//! What an authority is known by.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The longest identifier: a key identifier of up to 32 octets in hex.
const MAX_ID_LEN: usize = 64;

/// What an authority is known by: its key identifier, in lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuthorityId(String);

impl AuthorityId {
    /// Returns the identifier of the authority with this key identifier; `None` for an empty one, or one over 32 octets.
    #[must_use]
    pub fn from_key_id(key_id: &[u8]) -> Option<Self> {
        hex::encode(key_id).parse().ok()
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AuthorityId {
    type Err = ParseAuthorityIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.is_empty() || text.len() > MAX_ID_LEN || !text.len().is_multiple_of(2) || !is_hex {
            return Err(ParseAuthorityIdError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityId({self})")
    }
}

serde_as_text!(AuthorityId, "a key identifier in lower-case hex");

/// The text is not the identifier of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key identifier: an even number of lower-case hex digits, at most {MAX_ID_LEN}")]
pub struct ParseAuthorityIdError;
