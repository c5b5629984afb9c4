//! Why no key store was written.

use crate::problem::{Code, Coded};

use super::{MAX_ALIAS_CHARACTERS, MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS};

/// A key store cannot be written so that the programs that it is for would read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// Two entries of a store have the same alias; Java does not tell capitals from small letters.
    #[error("two entries of the key store have the alias {alias:?}")]
    AliasTwice {
        /// The one that is there already.
        alias: String,
    },
    /// An alias is empty, too long, or has a character that one of the formats cannot hold.
    #[error("{alias:?} is no alias: it has 1 to {MAX_ALIAS_CHARACTERS} characters of the Basic Multilingual Plane, none of them a control character")]
    AliasUnacceptable {
        /// The alias, shortened.
        alias: String,
    },
    /// A certificate cannot be read.
    #[error("certificate {position} of the key store cannot be read")]
    CertificateMalformed {
        /// Its place in what was given, from 1.
        position: usize,
    },
    /// A key without a certificate is no entry.
    #[error("the key has no certificate")]
    ChainEmpty,
    /// The cipher did not do its work.
    #[error("the key store could not be encrypted")]
    Encryption,
    /// The password has a character that not all readers take.
    #[error("character {position} of the key store's password is not one of the printable ASCII characters")]
    PasswordCharacter {
        /// Its place, from 1: never the character itself.
        position: usize,
    },
    /// The password is longer than readers take.
    #[error("the key store's password has {actual} characters, at most {MAX_PASSWORD_CHARACTERS} are read")]
    PasswordLong {
        /// Its length.
        actual: usize,
    },
    /// The password is shorter than keytool accepts.
    #[error("the key store's password has {actual} characters, keytool asks for at least {MIN_PASSWORD_CHARACTERS}")]
    PasswordShort {
        /// Its length.
        actual: usize,
    },
    /// A part is longer than the format can say.
    #[error("a part of the key store has {actual} octets, the format holds {limit}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
}

impl Coded for KeyStoreError {
    fn code(&self) -> Code {
        match self {
            Self::PasswordCharacter { .. } | Self::PasswordLong { .. } | Self::PasswordShort { .. } => Code::KeystorePasswordUnacceptable,
            Self::AliasTwice { .. }
            | Self::AliasUnacceptable { .. }
            | Self::CertificateMalformed { .. }
            | Self::ChainEmpty
            | Self::Encryption
            | Self::TooLarge { .. } => Code::KeystoreUnwritable,
        }
    }
}
