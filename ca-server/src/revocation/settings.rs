//! When lists are delivered, and how long they may be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// The most octets of a set of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrlBytes(usize);

impl CrlBytes {
    /// Every workload stream carries the set, and gRPC clients accept messages of 4 MB.
    pub const DEFAULT: usize = 2 * 1024 * 1024;

    /// The empty lists of a root, its successor and some issuing CAs.
    pub const LEAST: usize = 4 * 1024;

    /// An agent reads lines of 16 MiB: the set in base64, and the node's entries beside it.
    pub const MOST: usize = 8 * 1024 * 1024;

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Default for CrlBytes {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromStr for CrlBytes {
    type Err = ParseCrlBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.parse().ok().filter(|bytes| (Self::LEAST..=Self::MOST).contains(bytes));
        bytes.map(Self).ok_or_else(|| ParseCrlBytesError { text: text.to_owned() })
    }
}

impl fmt::Display for CrlBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no number of bytes that a set may have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a number of bytes from {} to {}", CrlBytes::LEAST, CrlBytes::MOST)]
pub struct ParseCrlBytesError {
    text: String,
}

/// When revocation lists are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CrlUse {
    /// From the start on.
    Always,
    /// Once something was revoked.
    #[default]
    Auto,
}

impl FromStr for CrlUse {
    type Err = ParseCrlUseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "auto" => Ok(Self::Auto),
            other => Err(ParseCrlUseError { text: other.to_owned() }),
        }
    }
}

impl fmt::Display for CrlUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Auto => "auto",
        })
    }
}

/// The text does not say when lists are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is neither auto nor always")]
pub struct ParseCrlUseError {
    text: String,
}

/// How lists go out.
#[derive(Debug, Clone, Copy)]
pub struct CrlSettings {
    /// When.
    pub usage: CrlUse,
    /// The most octets of a set.
    pub max_bytes: usize,
    /// How long a node may renew after the end of its SVID: rules that may name one are kept for so long.
    pub renewal_grace: Duration,
}
