//! Secrets at rest: sealed before they reach any file or store (design section 5).
//!
//! An envelope: a [`KeySource`] wraps one [`DataKey`] per store; a [`Sealer`] under that key seals each record, bound to its trust domain
//! and to the key it is stored under. Backups are sealed to a [`RecoveryKey`].

mod credential;
mod data_key;
mod envelope;
mod file_key;
mod key_source;
mod kind;
mod passphrase;
mod pkcs11_key;
mod plaintext;
mod prompt;
mod recovery;
mod sealer;
pub(crate) mod secret_file;
mod spec;

pub use credential::{CredentialKeySource, DIRECTORY_VARIABLE, SHORTEST_CREDENTIAL};
pub use data_key::DataKey;
pub use file_key::{FileKeySource, Provenance};
pub use key_source::{KeySource, KeySourceError};
pub use kind::{KeySourceKind, UnknownKind, WrappedKey};
pub use passphrase::{LONGEST_PASSPHRASE, Passphrase, PassphraseKeySource, SHORTEST_PASSPHRASE};
pub use pkcs11_key::Pkcs11KeySource;
pub use plaintext::plaintext;
pub use recovery::{ParseRecoveryKeyError, RecoveryKey, RecoveryPublicKey};
pub use sealer::{Sealer, UnsealError};
pub use spec::{KeySourceSpec, Opening, ParseKeySourceError, PassphrasePlace, SharedKeySource};
