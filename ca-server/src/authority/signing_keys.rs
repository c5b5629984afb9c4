//! Which token the authorities' keys are in: what is configured, else what the store says.

use platform::pkcs11::{Pkcs11Error, Pkcs11Uri};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

use super::hardware::Hardware;
use super::key_store::{KeyStore, NewKeys, Vault};
use crate::config::SigningKeysPlace;
use crate::seal::{SealError, SealedRecords};
use crate::store::{Commit, CommitError, Key, Store, StoreError, Write};

/// The version of the record.
const FORMAT: u32 = 1;

/// Where keys are, as the store says it. The record is sealed: a module is loaded into this process by what it says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: u32,
    /// The token that keys are in, or were.
    token: String,
    /// Whether new ones are made there.
    new_keys: bool,
}

/// The signing keys cannot be reached.
#[derive(Debug, Error)]
pub enum SigningKeysError {
    /// The place was not stored.
    #[error("the place of the signing keys cannot be stored")]
    Commit(#[from] CommitError),
    /// The record is not understood.
    #[error("the place of the signing keys is not understood")]
    Malformed,
    /// The record cannot be opened.
    #[error("the place of the signing keys cannot be opened")]
    Seal(#[from] SealError),
    /// The store cannot be read.
    #[error("the place of the signing keys cannot be read")]
    Store(#[from] StoreError),
    /// The token cannot be used.
    #[error("the token of the signing keys cannot be used")]
    Token(#[from] Pkcs11Error),
}

impl Coded for SigningKeysError {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::Malformed => Code::StoreFormatUnknown,
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Token(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Token(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

fn place() -> Key {
    Key::meta("signing-keys")
}

/// Returns the write that keeps where a new trust domain's keys are.
pub(crate) fn remember(records: &SealedRecords, token: &Pkcs11Uri) -> Result<Write, SealError> {
    let record = Record {
        format: FORMAT,
        token: token.to_string(),
        new_keys: true,
    };
    records.put(place(), &record)
}

/// Opens the keys of a store: in the token that is configured, else in the one that the store names. What is configured is stored, so that it need not be
/// said again.
///
/// # Errors
/// [`SigningKeysError`]: a server whose keys are out of reach does not start.
pub(crate) async fn open(store: &dyn Store, records: &SealedRecords, configured: Option<&SigningKeysPlace>) -> Result<Vault, SigningKeysError> {
    let at = place();
    let stored = store.meta(at.clone()).await?;
    let before: Option<Record> = stored.as_ref().map(|item| records.open_item(item)).transpose()?;
    if before.as_ref().is_some_and(|record| record.format != FORMAT) {
        return Err(SigningKeysError::Malformed);
    }
    let Some(wanted) = wanted(configured, before.as_ref()) else {
        return Ok(Vault::local(records.clone()));
    };
    let uri: Pkcs11Uri = wanted.token.parse().map_err(|_| SigningKeysError::Malformed)?;
    let hardware = Hardware::open(&uri).await?;
    if before.as_ref() != Some(&wanted) {
        let mut commit = Commit::new("signing_keys_placed");
        commit = match &stored {
            Some(item) => commit.unmodified(at.clone(), item.modified),
            None => commit.absent(at.clone()),
        };
        commit.writes.push(records.put(at, &wanted)?);
        store.commit(commit).await?;
    }
    let new_keys = if wanted.new_keys { NewKeys::InToken } else { NewKeys::Here };
    Ok(Vault {
        records: records.clone(),
        keys: KeyStore::with_token(hardware, new_keys),
    })
}

/// Decides where keys are from now on. Going back to the store keeps the token in reach, for the keys that are still in it.
fn wanted(configured: Option<&SigningKeysPlace>, before: Option<&Record>) -> Option<Record> {
    let token = |token: String, new_keys| Record {
        format: FORMAT,
        token,
        new_keys,
    };
    match (configured, before) {
        (Some(SigningKeysPlace::Token(uri)), _) => Some(token(uri.to_string(), true)),
        (Some(SigningKeysPlace::Store), Some(before)) => Some(token(before.token.clone(), false)),
        (None, Some(before)) => Some(token(before.token.clone(), before.new_keys)),
        (Some(SigningKeysPlace::Store) | None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "pkcs11:token=one?module-path=/m.so";

    fn record(token: &str, new_keys: bool) -> Record {
        Record {
            format: FORMAT,
            token: token.to_owned(),
            new_keys,
        }
    }

    #[test]
    fn what_is_configured_counts_and_what_is_stored_otherwise() {
        let (other, stored) = (record("pkcs11:token=two?module-path=/m.so", true), record(URI, true));
        let named: SigningKeysPlace = URI.parse().unwrap();
        assert_eq!(wanted(None, None), None);
        assert_eq!(wanted(Some(&SigningKeysPlace::Store), None), None);
        assert_eq!(wanted(None, Some(&stored)), Some(record(URI, true)));
        assert_eq!(wanted(Some(&named), Some(&other)), Some(record(URI, true)));
        assert_eq!(
            wanted(Some(&SigningKeysPlace::Store), Some(&stored)),
            Some(record(URI, false)),
            "the old keys stay in reach"
        );
        assert_eq!(wanted(None, Some(&record(URI, false))), Some(record(URI, false)));
    }
}
