//! What a cross-certificate is known by.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::plan::authority::AuthorityId;
use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// The octets of an id: enough that the few cross-certificates of one trust domain never meet.
const LEN: usize = 8;

/// The id of a cross-certificate, 16 hex digits: of this root by this upstream authority. It stays the same when the certificate is renewed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrossId(String);

impl CrossId {
    /// Returns the id of what an upstream authority signs for a root.
    #[must_use]
    pub fn of(root: &AuthorityId, upstream: &AuthorityId) -> Self {
        let mut hash = Sha256::new();
        // Both are hex digits: the space between them keeps one pair apart from another.
        hash.update(root.as_str());
        hash.update(b" ");
        hash.update(upstream.as_str());
        Self(hex::encode(hash.finalize().iter().copied().take(LEN).collect::<Vec<_>>()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CrossId {
    type Err = ParseCrossIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match is_hex && text.len() == 2 * LEN {
            true => Ok(Self(text.to_owned())),
            false => Err(ParseCrossIdError),
        }
    }
}

impl fmt::Display for CrossId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CrossId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrossId({self})")
    }
}

serde_as_text!(CrossId, "the id of a cross-certificate");

/// The text is not the id of a cross-certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a cross-certificate: 16 lower-case hex digits")]
pub struct ParseCrossIdError;

impl Coded for ParseCrossIdError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "copy it from the list: troth authority upstream list".to_owned()
    }
}
