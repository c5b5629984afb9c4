//! Which side of a listener speaks mTLS.

use std::fmt;
use std::str::FromStr;

/// Who comes over mTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those who connect to the listener.
    Inbound,
    /// The target.
    Outbound,
}

impl FromStr for Direction {
    type Err = ParseDirectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inbound" => Ok(Self::Inbound),
            "outbound" => Ok(Self::Outbound),
            _ => Err(ParseDirectionError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// A word is no direction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither \"inbound\" nor \"outbound\"")]
pub struct ParseDirectionError {
    /// The word.
    pub text: String,
}
