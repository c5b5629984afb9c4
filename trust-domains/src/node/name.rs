//! Names of nodes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::problem::{Code, Coded};
use crate::spiffe_id::is_segment_octet;
use crate::text::serde_as_text;

/// The name of a node: always 1 to 64 of `a-z A-Z 0-9 . - _`, and not `.` or `..`: the last part of its SPIFFE ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The longest name in bytes: that of a host name's label (63), and a random name in hex.
    pub const MAX_LEN: usize = 64;

    /// Returns the name for a node that nobody named.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(hex::encode(random).into())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = ParseNodeNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(is_segment_octet) && !matches!(text, "." | "..");
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(ParseNodeNameError { limit: Self::MAX_LEN })
        }
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(NodeName, "a node's name");

/// The text is not a node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to {limit} of a-z, A-Z, 0-9, '.', '-' and '_'")]
pub struct ParseNodeNameError {
    /// The most bytes.
    pub limit: usize,
}

impl Coded for ParseNodeNameError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}
