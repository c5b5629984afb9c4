//! What the agent keeps on disk, sealed: a copied data directory is closed without its key file.
//!
//! | file in the data directory | holds |
//! |---|---|
//! | `data-key` | the data key, wrapped by the key source |
//! | `joining.sealed` | the key with which a join was begun, until it ended |
//! | `identity.sealed` | the node's key, SVID, bundle and server |
//! | `cache.sealed` | entries, workload SVIDs with their keys, bundle |
//! | `last-seen.sealed` | the newest time that this machine's clock showed |

use std::path::{Path, PathBuf};

use platform::files::{self, FileError};
use platform::sealing::{KeySourceError, KeySourceSpec, Sealer, UnsealError};
use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use super::data_key;

/// What binds the data key and every record to the agent's own directory; the trust domain is not known before the first join.
pub(super) const SCOPE: &str = "agent";

/// Names the data key in sealed records; a later `rekey` counts on.
const DATA_KEY_ID: &str = "1";

/// A sealed record of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Entries, workload SVIDs with their keys, bundle.
    Cache,
    /// The node's key, SVID, bundle and server.
    Identity,
    /// The key with which a join was begun.
    Joining,
    /// The newest time that was seen.
    LastSeen,
}

impl Record {
    const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Identity => "identity",
            Self::Joining => "joining",
            Self::LastSeen => "last-seen",
        }
    }

    /// The most bytes that are read: SVIDs of 1,000 entries with keys are 2 MB; the others a few kilobytes.
    const fn longest(self) -> usize {
        match self {
            Self::Cache => 256 << 20,
            Self::Identity => 4 << 20,
            Self::Joining => 64 << 10,
            Self::LastSeen => 4 << 10,
        }
    }
}

/// The agent's sealed records.
#[derive(Debug)]
pub struct SealedRecords {
    directory: PathBuf,
    sealer: Sealer,
}

/// A sealed record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The disk.
    #[error("a sealed record cannot be read or written")]
    File(#[from] FileError),
    /// The key source.
    #[error("the sealed records cannot be opened")]
    KeySource(#[from] KeySourceError),
    /// The record is well sealed, but says what this version does not know.
    #[error("the sealed record {} has contents that this version does not know", .record.name())]
    Unknown {
        /// Which one.
        record: Record,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The record does not open.
    #[error("a sealed record cannot be opened")]
    Unseal(#[from] UnsealError),
}

impl Coded for SealedError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code(),
            Self::KeySource(error) => error.code(),
            Self::Unknown { .. } => Code::StoreFormatUnknown,
            Self::Unseal(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::KeySource(error) => error.hint(),
            Self::Unknown { .. } => self.code().facts().hint.to_owned(),
            Self::Unseal(error) => error.hint(),
        }
    }
}

impl SealedRecords {
    /// Opens the records of a data directory. The data key is made with the first record and never replaced afterwards. Opening may wait for a person or a token,
    /// and blocks its thread meanwhile.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn open(directory: &Path, key_source: &KeySourceSpec) -> Result<Self, SealedError> {
        Ok(Self {
            directory: directory.to_owned(),
            sealer: Sealer::for_scope(SCOPE, DATA_KEY_ID, data_key::open(directory, key_source)?),
        })
    }

    /// Reads a record; `None` when there is none.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn read(&self, record: Record) -> Result<Option<Zeroizing<Vec<u8>>>, SealedError> {
        match files::read_limited(&self.path(record), record.longest()) {
            Ok(sealed) => Ok(Some(self.sealer.open(record.name(), &sealed)?)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a record, durable when this returns.
    ///
    /// # Errors
    /// [`SealedError`]; the record before is then still there.
    pub fn write(&self, record: Record, plaintext: &[u8]) -> Result<(), SealedError> {
        let sealed = self.sealer.seal(record.name(), plaintext)?;
        Ok(files::write_durable(&self.path(record), &sealed, 0o600)?)
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn remove(&self, record: Record) -> Result<(), SealedError> {
        match files::remove_durable(&self.path(record)) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn path(&self, record: Record) -> PathBuf {
        self.directory.join(format!("{}.sealed", record.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
            }
        }

        fn data(&self) -> PathBuf {
            let data = self.dir.path().join("agent");
            files::ensure_private_dir(&data, 0o700).unwrap();
            data
        }

        fn open(&self) -> Result<SealedRecords, SealedError> {
            SealedRecords::open(&self.data(), &KeySourceSpec::File(self.dir.path().join("agent.seal.key")))
        }
    }

    #[test]
    fn a_record_survives_a_restart_and_is_not_on_disk_in_the_clear() {
        let place = Place::new();
        place.open().unwrap().write(Record::Identity, b"the node's key").unwrap();
        let read = place.open().unwrap().read(Record::Identity).unwrap().unwrap();
        assert_eq!(&*read, b"the node's key");
        let on_disk = std::fs::read(place.data().join("identity.sealed")).unwrap();
        assert!(!on_disk.windows(8).any(|window| window == b"the node"));
    }

    #[test]
    fn without_its_key_file_the_directory_stays_closed_and_no_new_key_is_made() {
        let place = Place::new();
        place.open().unwrap().write(Record::Identity, b"secret").unwrap();
        let key_file = place.dir.path().join("agent.seal.key");
        std::fs::remove_file(&key_file).unwrap();
        assert_eq!(place.open().unwrap_err().code(), Code::KeySourceUnavailable);
        assert!(!key_file.exists());
    }

    #[test]
    fn a_directory_that_a_key_file_opens_names_the_option_when_a_passphrase_is_offered_and_nobody_is_asked_for_one() {
        let place = Place::new();
        place.open().unwrap().write(Record::Identity, b"secret").unwrap();
        let passphrase = "passphrase:/nonexistent".parse().unwrap();
        let refused = SealedRecords::open(&place.data(), &passphrase).unwrap_err();
        assert!(matches!(refused, SealedError::KeySource(KeySourceError::OtherKind { .. })), "{refused:?}");
        assert!(refused.hint().contains("--key-source file:PATH"));
    }

    #[test]
    fn a_record_moved_to_another_name_does_not_open() {
        let place = Place::new();
        let records = place.open().unwrap();
        records.write(Record::Joining, b"secret").unwrap();
        std::fs::rename(place.data().join("joining.sealed"), place.data().join("identity.sealed")).unwrap();
        assert!(matches!(records.read(Record::Identity), Err(SealedError::Unseal(_))));
        assert!(records.read(Record::Joining).unwrap().is_none());
        records.remove(Record::Identity).unwrap();
        records.remove(Record::Identity).unwrap();
        assert!(records.read(Record::Identity).unwrap().is_none());
    }
}
