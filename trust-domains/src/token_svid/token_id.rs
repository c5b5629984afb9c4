//! What tells tokens apart: `jti` (RFC 7519 section 4.1.7).

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The id of one token: 128 random bits, in lower-case hex. The journal names tokens by it; the token itself is nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; TokenId::LEN]);

impl TokenId {
    /// The random octets of an id.
    pub const LEN: usize = 16;

    /// Returns the id with these random octets.
    #[must_use]
    pub const fn new(random: [u8; Self::LEN]) -> Self {
        Self(random)
    }
}

impl FromStr for TokenId {
    type Err = ParseTokenIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; Self::LEN];
        hex::decode_to_slice(text, &mut octets).map_err(|_| ParseTokenIdError)?;
        match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Err(ParseTokenIdError),
            false => Ok(Self(octets)),
        }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

serde_as_text!(TokenId, "a token id in lower-case hex");

/// The text is not the id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token id is 32 lower-case hex digits")]
pub struct ParseTokenIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text_and_has_one_form() {
        let id = TokenId::new([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &"zz".repeat(16)] {
            assert_eq!(bad.parse::<TokenId>(), Err(ParseTokenIdError), "{bad}");
        }
    }
}
