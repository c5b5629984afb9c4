//! The stored form of entries and nodes: one octet that names the format, then JSON.
//!
//! A newer version that changes the form writes another octet; this one refuses what it does not know instead of guessing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

use crate::store::Key;

/// The format that this version writes.
const FORMAT: u8 = 1;

/// A stored record cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// There is nothing in it.
    #[error("record {key} is empty")]
    Empty {
        /// The record.
        key: Key,
    },
    /// A version that this one does not know wrote it.
    #[error("record {key} has format {found}, this version knows {known}")]
    FormatUnknown {
        /// The record.
        key: Key,
        /// Its format.
        found: u8,
        /// What this version reads.
        known: u8,
    },
    /// Its content is not what this version wrote.
    #[error("record {key} is malformed")]
    Malformed {
        /// The record.
        key: Key,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

impl Coded for RecordError {
    fn code(&self) -> Code {
        match self {
            Self::FormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::Empty { .. } | Self::Malformed { .. } => Code::StoreUnavailable,
        }
    }
}

/// Returns the stored form of a record.
///
/// # Errors
/// The record does not serialize: a fault of this program.
pub fn encode(key: &Key, record: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut stored = vec![FORMAT];
    serde_json::to_writer(&mut stored, record).map_err(|source| RecordError::Malformed { key: key.clone(), source })?;
    Ok(stored)
}

/// Reads a stored record.
///
/// # Errors
/// The record is empty, of another format, or malformed.
pub fn decode<T: DeserializeOwned>(key: &Key, stored: &[u8]) -> Result<T, RecordError> {
    match stored.split_first() {
        None => Err(RecordError::Empty { key: key.clone() }),
        Some((&FORMAT, json)) => serde_json::from_slice(json).map_err(|source| RecordError::Malformed { key: key.clone(), source }),
        Some((&found, _)) => Err(RecordError::FormatUnknown {
            key: key.clone(),
            found,
            known: FORMAT,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let key = Key::meta("k");
        let stored = encode(&key, &vec![1, 2]).unwrap();
        assert_eq!(decode::<Vec<u8>>(&key, &stored).unwrap(), [1, 2]);
    }

    #[test]
    fn an_unknown_format_is_a_clear_error() {
        let key = Key::meta("k");
        let error = decode::<Vec<u8>>(&key, b"\x02[]").unwrap_err();
        assert_eq!(error.code(), Code::StoreFormatUnknown);
        assert_eq!(error.to_string(), "record meta/k has format 2, this version knows 1");
        assert!(matches!(decode::<Vec<u8>>(&key, b""), Err(RecordError::Empty { .. })));
        assert!(matches!(decode::<Vec<u8>>(&key, b"\x01{"), Err(RecordError::Malformed { .. })));
    }
}
