//! Which store holds the trust domain.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A kind of store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// Embedded, in the data directory.
    #[default]
    Sled,
}

/// There is no such store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no store that this version has: sled")]
pub struct ParseStoreKindError {
    /// The text.
    pub text: String,
}

impl FromStr for StoreKind {
    type Err = ParseStoreKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sled" => Ok(Self::Sled),
            _ => Err(ParseStoreKindError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sled")
    }
}
