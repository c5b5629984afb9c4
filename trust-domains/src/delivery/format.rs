//! The formats in which credentials are written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A format: which files there are, and what they look like. The table is in the documentation of [the module](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Each certificate, list and key in DER, in a file of its own.
    Der,
    /// Java key stores of the old kind, for what reads no PKCS#12.
    Jks,
    /// The JWT keys as a plain JWK Set.
    Jwks,
    /// PEM, certificates and key in separate files.
    Pem,
    /// PEM, with key and certificates in one file.
    PemCombined,
    /// PKCS#12 key stores.
    Pkcs12,
    /// A SPIFFE bundle document.
    Spiffe,
}

/// The text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is no format: der, jks, jwks, pem, pem-combined, pkcs12 and spiffe are")]
pub struct ParseFormatError {
    /// What was given.
    pub presented: String,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [Self::Der, Self::Jks, Self::Jwks, Self::Pem, Self::PemCombined, Self::Pkcs12, Self::Spiffe];

    /// Returns the format's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Der => "der",
            Self::Jks => "jks",
            Self::Jwks => "jwks",
            Self::Pem => "pem",
            Self::PemCombined => "pem-combined",
            Self::Pkcs12 => "pkcs12",
            Self::Spiffe => "spiffe",
        }
    }

    /// Returns whether its files are under a password.
    #[must_use]
    pub const fn has_password(self) -> bool {
        matches!(self, Self::Jks | Self::Pkcs12)
    }

    /// Returns whether its files hold revocation lists.
    #[must_use]
    pub const fn has_lists(self) -> bool {
        matches!(self, Self::Der | Self::Pem | Self::PemCombined)
    }

    /// Returns whether each partner has files of its own among its files.
    #[must_use]
    pub const fn has_partners(self) -> bool {
        matches!(self, Self::Pem | Self::PemCombined)
    }
}

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| ParseFormatError { presented: text.to_owned() })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_round_trip_as_text_and_in_json() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        let told = "PEM".parse::<Format>().unwrap_err().to_string();
        assert!(Format::ALL.iter().all(|format| told.contains(format.name())), "{told}");
    }
}
