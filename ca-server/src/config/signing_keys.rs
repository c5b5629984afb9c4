//! `--signing-keys`: where the private keys of authorities are made.

use std::fmt;
use std::str::FromStr;

use platform::pkcs11::{ParsePkcs11UriError, Pkcs11Uri};
use thiserror::Error;

/// Where the private keys of authorities are made, and stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningKeysPlace {
    /// In the store, sealed; open in memory while they sign.
    Store,
    /// In a PKCS#11 token, which they never leave.
    Token(Pkcs11Uri),
}

/// The text names no place for signing keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseSigningKeysError {
    /// It is neither the store nor a PKCS#11 URI.
    #[error("signing keys are made in the store or in a token: store, or pkcs11:token=LABEL?module-path=MODULE.so&pin-source=FILE")]
    Unknown,
    /// The URI is not usable.
    #[error(transparent)]
    Uri(#[from] ParsePkcs11UriError),
    /// The URI names one key.
    #[error("each signing key has a name of its own: leave object= out of the URI")]
    NamesObject,
}

impl FromStr for SigningKeysPlace {
    type Err = ParseSigningKeysError;

    fn from_str(text: &str) -> Result<Self, ParseSigningKeysError> {
        match text {
            "store" => Ok(Self::Store),
            uri if uri.starts_with("pkcs11:") => {
                let uri: Pkcs11Uri = uri.parse()?;
                match uri.object() {
                    None => Ok(Self::Token(uri)),
                    Some(_) => Err(ParseSigningKeysError::NamesObject),
                }
            }
            _ => Err(ParseSigningKeysError::Unknown),
        }
    }
}

impl fmt::Display for SigningKeysPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("store"),
            Self::Token(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_and_a_token_are_places_and_one_key_is_not() {
        for text in ["store", "pkcs11:token=troth?module-path=/m.so"] {
            assert_eq!(text.parse::<SigningKeysPlace>().unwrap().to_string(), text);
        }
        let refused = |text: &str| text.parse::<SigningKeysPlace>().unwrap_err();
        assert_eq!(refused("file:/x"), ParseSigningKeysError::Unknown);
        assert_eq!(refused("pkcs11:token=troth;object=k?module-path=/m.so"), ParseSigningKeysError::NamesObject);
        assert_eq!(refused("pkcs11:token=troth"), ParseSigningKeysError::Uri(ParsePkcs11UriError::NoModule));
    }
}
