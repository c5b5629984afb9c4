//! Secrets at rest: sealed before they reach any file or store (design section 5).
//!
//! An envelope: a [`KeySource`] wraps one [`DataKey`] per store; a [`Sealer`] under that key seals each record, bound to its trust domain
//! and to the key it is stored under. Backups are sealed to a [`RecoveryKey`].

mod data_key;
mod envelope;
mod file_key;
mod key_source;
mod recovery;
mod sealer;

pub use data_key::DataKey;
pub use file_key::{FileKeySource, Provenance};
pub use key_source::{KeySource, KeySourceError};
pub use recovery::{ParseRecoveryKeyError, RecoveryKey, RecoveryPublicKey};
pub use sealer::{Sealer, UnsealError};
