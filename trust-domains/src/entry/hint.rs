//! Hints: labels that a workload with several identities tells them apart by (Workload API section 5.2, `hint`).

use std::fmt;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A label: always 1 to 1,024 bytes of printable text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hint(Box<str>);

impl Hint {
    /// The longest hint in bytes: every message of a workload's stream repeats it.
    pub const MAX_LEN: usize = 1024;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hint {
    type Err = ParseHintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(ParseHintError::Length {
                limit: Self::MAX_LEN,
                actual: text.len(),
            });
        }
        match text.chars().any(char::is_control) {
            true => Err(ParseHintError::NotPrintable),
            false => Ok(Self(text.into())),
        }
    }
}

impl AsRef<str> for Hint {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Hint, "a hint");

/// The text cannot be a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHintError {
    /// Nothing, or more bytes than a hint may have.
    #[error("the hint has {actual} bytes, not 1 to {limit}")]
    Length {
        /// The most bytes.
        limit: usize,
        /// The bytes there are.
        actual: usize,
    },
    /// A control character.
    #[error("the hint has a control character")]
    NotPrintable,
}

impl Coded for ParseHintError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}
