//! What kinds of key sources there are, and how a wrapped data key says which one it needs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of key source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySourceKind {
    /// A systemd credential.
    Credential,
    /// A key file.
    #[default]
    File,
    /// A passphrase.
    Passphrase,
    /// A key in a PKCS#11 token.
    Pkcs11,
}

impl KeySourceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Credential, Self::File, Self::Passphrase, Self::Pkcs11];

    /// Returns its word: what `--key-source` begins with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::File => "file",
            Self::Passphrase => "passphrase",
            Self::Pkcs11 => "pkcs11",
        }
    }

    /// Returns how the option is written for it.
    #[must_use]
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Credential => "--key-source credential:NAME",
            Self::File => "--key-source file:PATH (or --key-file PATH)",
            Self::Passphrase => "--key-source passphrase",
            Self::Pkcs11 => "--key-source 'pkcs11:token=LABEL;object=NAME?module-path=MODULE.so&pin-source=FILE'",
        }
    }

    /// Returns whether it is a key file: what records that name no kind mean.
    #[must_use]
    pub fn is_file(&self) -> bool {
        *self == Self::File
    }
}

impl fmt::Display for KeySourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text names no kind of key source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no kind of key source: file:PATH, passphrase, passphrase:FILE, credential:NAME or pkcs11:URI")]
pub struct UnknownKind {
    /// What was there.
    pub found: String,
}

impl FromStr for KeySourceKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let kind = Self::ALL.into_iter().find(|kind| kind.word() == word);
        kind.ok_or_else(|| UnknownKind { found: word.to_owned() })
    }
}

/// What a wrapped data key in a file starts with, unless a key file wrapped it: those are the bare octets, as they always were.
const HEADER: &[u8] = b"troth-wrapped-1 ";

/// A wrapped data key with the kind of source that wrapped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which kind of source opens it.
    pub kind: KeySourceKind,
    /// What that source made of the key.
    pub octets: Vec<u8>,
}

impl WrappedKey {
    /// Returns it as a file holds it.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        match self.kind {
            KeySourceKind::File => self.octets.clone(),
            KeySourceKind::Credential | KeySourceKind::Passphrase | KeySourceKind::Pkcs11 => {
                [HEADER, self.kind.word().as_bytes(), b"\n", &self.octets].concat()
            }
        }
    }

    /// Reads what [`to_file`](Self::to_file) returned. Whatever has no header is taken for the octets of a key file's wrapping.
    #[must_use]
    pub fn from_file(content: &[u8]) -> Self {
        let named = content.strip_prefix(HEADER).and_then(|rest| {
            let end = rest.iter().position(|octet| *octet == b'\n')?;
            let (word, octets) = rest.split_at_checked(end)?;
            let kind = std::str::from_utf8(word).ok()?.parse().ok()?;
            Some(Self {
                kind,
                octets: octets.get(1..)?.to_vec(),
            })
        });
        named.unwrap_or_else(|| Self {
            kind: KeySourceKind::File,
            octets: content.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_is_read_back_from_its_word_and_has_an_option() {
        for kind in KeySourceKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert!(kind.usage().contains(kind.word()));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.word()));
        }
        "sgx".parse::<KeySourceKind>().unwrap_err();
    }

    proptest! {
        #[test]
        fn a_wrapped_key_is_the_same_through_a_file(octets: Vec<u8>, kind in 0_usize..4) {
            let wrapped = WrappedKey { kind: KeySourceKind::ALL[kind], octets };
            prop_assume!(!wrapped.octets.starts_with(HEADER));
            prop_assert_eq!(WrappedKey::from_file(&wrapped.to_file()), wrapped);
        }
    }
}
