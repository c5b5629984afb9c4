//! The versions of TLS that are spoken.

use std::str::FromStr;

/// The least version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3, for old peers.
    Tls12,
    /// TLS 1.3 only.
    #[default]
    Tls13,
}

impl FromStr for TlsVersion {
    type Err = ParseTlsVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(ParseTlsVersionError { text: text.to_owned() }),
        }
    }
}

/// A text is no version of TLS that is spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither \"1.2\" nor \"1.3\"")]
pub struct ParseTlsVersionError {
    /// The text.
    pub text: String,
}
