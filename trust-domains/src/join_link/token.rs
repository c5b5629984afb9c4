//! Join tokens: secrets that let one key join as one node.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::problem::{Code, Coded};

/// A join token: always the 43 characters of base64url that 32 random octets have. Wiped on drop, never shown.
#[derive(Clone)]
pub struct JoinToken(Zeroizing<String>);

impl JoinToken {
    /// The characters of the text.
    pub const TEXT_LEN: usize = 43;

    /// Returns the token of random octets.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        let random = Zeroizing::new(random);
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice())))
    }

    /// Returns the text: a secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the text: what a server stores. The token has 256 random bits, so no salt or slow hash is needed.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl FromStr for JoinToken {
    type Err = ParseJoinTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != Self::TEXT_LEN {
            return Err(ParseJoinTokenError);
        }
        // Decoding is strict: the two spare bits of the last character are zero, so there is one text for one token.
        match URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new) {
            Ok(octets) if octets.len() == 32 => Ok(Self(Zeroizing::new(text.to_owned()))),
            _ => Err(ParseJoinTokenError),
        }
    }
}

impl PartialEq for JoinToken {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for JoinToken {}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

impl serde::Serialize for JoinToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> serde::Deserialize<'de> for JoinToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer, "a join token")
    }
}

/// The text is not a join token. It is not repeated: most of it may be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a join token has 43 letters, digits, '-' and '_'")]
pub struct ParseJoinTokenError;

impl Coded for ParseJoinTokenError {
    fn code(&self) -> Code {
        Code::JoinLinkInvalid
    }
}
