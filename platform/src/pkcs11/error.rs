//! Why a token does not do its part.

use std::path::PathBuf;

use cryptoki::error::{Error, RvError};
use trust_domains::problem::{Code, Coded};

use crate::files::FileError;

/// A token, or a key in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// No slot holds the token.
    #[error("there is no token {token:?} in any slot of {}", module.display())]
    Absent {
        /// How it is called.
        token: String,
        /// The module that was asked.
        module: PathBuf,
    },
    /// More than one token has that name.
    #[error("{count} tokens are called {token:?}")]
    Ambiguous {
        /// How they are called.
        token: String,
        /// How many there are.
        count: usize,
    },
    /// What was enciphered was not enciphered by this key, or is damaged.
    #[error("the key {object:?} of the token {token:?} does not open it")]
    DoesNotFit {
        /// The token.
        token: String,
        /// The key.
        object: String,
    },
    /// The token does not do what is asked of it.
    #[error("the token {token:?} cannot {action}")]
    Failed {
        /// The token.
        token: String,
        /// What was asked.
        action: &'static str,
        /// What it said.
        #[source]
        source: Error,
    },
    /// The module is not a PKCS#11 module, or cannot be loaded.
    #[error("the PKCS#11 module {} cannot be loaded", module.display())]
    Module {
        /// Where it is.
        module: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// The key is not in the token.
    #[error("the key {object:?} is not in the token {token:?}")]
    NoKey {
        /// The token.
        token: String,
        /// The key.
        object: String,
    },
    /// The URI names no key.
    #[error("the PKCS#11 URI of a key source names its key: object=NAME")]
    NoObject,
    /// The token asks for a PIN, and none is named.
    #[error("the token {token:?} asks for a PIN")]
    NoPin {
        /// The token.
        token: String,
    },
    /// The file with the PIN cannot be used.
    #[error("the file with the PIN cannot be used")]
    PinFile(#[source] Box<crate::sealing::KeySourceError>),
    /// The token refused this PIN before, and is not asked again.
    #[error("the token {token:?} refused the PIN, and is not asked again with the same")]
    PinRefused {
        /// The token.
        token: String,
    },
    /// One more mistake would lock the token.
    #[error("the token {token:?} takes one more wrong PIN before it locks itself, and is not asked")]
    PinLastTry {
        /// The token.
        token: String,
    },
    /// The token is locked.
    #[error("the user PIN of the token {token:?} is locked")]
    PinLocked {
        /// The token.
        token: String,
    },
    /// The token's public key, or its signature, is not one of P-256.
    #[error("the token {token:?} gave {what} that is none")]
    Strange {
        /// The token.
        token: String,
        /// What it gave.
        what: &'static str,
    },
}

impl From<FileError> for Pkcs11Error {
    fn from(error: FileError) -> Self {
        Self::PinFile(Box::new(error.into()))
    }
}

impl Coded for Pkcs11Error {
    fn code(&self) -> Code {
        match self {
            Self::DoesNotFit { .. } => Code::KeySourceUnavailable,
            Self::NoPin { .. } | Self::PinFile(_) | Self::PinLastTry { .. } | Self::PinLocked { .. } | Self::PinRefused { .. } => Code::Pkcs11PinRefused,
            Self::NoObject => Code::ConfigInvalid,
            Self::Absent { .. } | Self::Ambiguous { .. } | Self::Failed { .. } | Self::Module { .. } | Self::NoKey { .. } | Self::Strange { .. } => {
                Code::Pkcs11Unavailable
            }
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Ambiguous { .. } => "say which: add serial=NUMBER or manufacturer=NAME to the URI".to_owned(),
            Self::DoesNotFit { .. } => "name the key that wrapped it: object=NAME".to_owned(),
            Self::Module { .. } => "name the module of your token: module-path=/usr/lib/softhsm/libsofthsm2.so".to_owned(),
            Self::NoPin { .. } => "write the PIN to a private file and add ?pin-source=FILE to the URI".to_owned(),
            Self::PinFile(error) => error.hint(),
            Self::PinLastTry { .. } | Self::PinLocked { .. } => {
                "correct the PIN in the file of pin-source, then clear the count of mistakes with the token's own tool".to_owned()
            }
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Whether a session that answered so is of no use any more: another one, found from the start, may be.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn,
            _
        )
    )
}

/// Whether the token says that the PIN is wrong.
pub(super) fn is_wrong_pin(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired, _)
    )
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_removed_token_is_looked_for_again_and_a_wrong_pin_is_not_tried_again() {
        let of = |error| Error::Pkcs11(error, Function::Sign);
        assert!(is_lost(&of(RvError::DeviceRemoved)) && is_lost(&of(RvError::SessionHandleInvalid)));
        assert!(!is_lost(&of(RvError::PinIncorrect)) && !is_lost(&of(RvError::MechanismInvalid)));
        assert!(is_wrong_pin(&of(RvError::PinIncorrect)) && !is_wrong_pin(&of(RvError::PinLocked)));
    }
}
