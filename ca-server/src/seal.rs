//! Sealed records over the store: what must not be read, or not be changed unseen, by whoever holds the disk.
//!
//! One data key per store seals them. It is in the store itself, wrapped by the key source (and, for a lost key file, sealed to the recovery key), in
//! one record beside the name of the trust domain that it belongs to.

mod open;
mod recover;
mod rewrap;

use std::sync::Arc;

use bytes::Bytes;
use platform::sealing::{DataKey, KeySource, KeySourceError, KeySourceKind, RecoveryPublicKey, Sealer, UnsealError, WrappedKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trust_domains::TrustDomain;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::encoding::Base64;
use zeroize::Zeroizing;

use crate::store::{Item, Key, Store, StoreError, Write};

/// The oldest version of the record that holds the wrapped data key: a key file wraps it.
const FORMAT_OF_FILE: u32 = 1;

/// The newest: it says which kind of source wraps it. One that a key file wraps is still written as it was.
const FORMAT: u32 = 2;

pub use open::{open_source, open_with};
pub use recover::{RecoverError, recovery_of, rewrap_recovered};
pub use rewrap::{RewrapError, rewrap};

/// Seals and opens records; cheap to clone.
#[derive(Debug, Clone)]
pub struct SealedRecords {
    sealer: Arc<Sealer>,
}

/// A sealed record cannot be written or read.
#[derive(Debug, Error)]
pub enum SealError {
    /// It does not open, or could not be sealed.
    #[error("a sealed record cannot be used")]
    Unseal(#[from] UnsealError),
    /// It opened and holds something that this version does not know.
    #[error("the sealed record {record} is not understood")]
    Format {
        /// The key it is stored under.
        record: String,
        /// What the parser said; never a part of the content.
        line: usize,
    },
}

impl Coded for SealError {
    fn code(&self) -> Code {
        match self {
            Self::Unseal(error) => error.code(),
            Self::Format { .. } => Code::StoreFormatUnknown,
        }
    }
}

impl SealedRecords {
    /// Returns the records of a store whose data key is open.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer: Arc::new(sealer) }
    }

    /// Returns the sealer itself, for records whose plaintext is not JSON.
    #[must_use]
    pub fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.sealer)
    }

    /// Seals a value for one key of the store.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal<T: Serialize>(&self, key: &Key, value: &T) -> Result<Bytes, SealError> {
        let json = platform::sealing::plaintext(value).map_err(|error| malformed(key, &error))?;
        Ok(self.sealer.seal(key.as_str(), &json)?.into())
    }

    /// Opens the value that was sealed for this key.
    ///
    /// # Errors
    /// When it is damaged, moved, sealed under another data key, or of an unknown form.
    pub fn open<T: DeserializeOwned>(&self, key: &Key, sealed: &[u8]) -> Result<T, SealError> {
        let json = self.sealer.open(key.as_str(), sealed)?;
        serde_json::from_slice(&json).map_err(|error| malformed(key, &error))
    }

    /// Opens an item of a snapshot.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_item<T: DeserializeOwned>(&self, item: &Item) -> Result<T, SealError> {
        self.open(&item.key, &item.value)
    }

    /// Returns the write that puts a sealed value.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn put<T: Serialize>(&self, key: Key, value: &T) -> Result<Write, SealError> {
        let sealed = self.seal(&key, value)?;
        Ok(Write::Put(key, sealed))
    }
}

fn malformed(key: &Key, error: &serde_json::Error) -> SealError {
    SealError::Format {
        record: key.to_string(),
        line: error.line(),
    }
}

/// A store that was opened with its key source.
#[derive(Debug)]
pub struct OpenedStore {
    /// Whose store it is.
    pub trust_domain: TrustDomain,
    /// Its sealed records.
    pub records: SealedRecords,
}

/// A store cannot be opened with this key source.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// A newer version wrote the record of the data key.
    #[error("the record of the data key has format {found}, this version knows {FORMAT}")]
    FormatUnknown {
        /// The version it names.
        found: u32,
    },
    /// The store holds no trust domain.
    #[error("there is no trust domain in this store")]
    NotInitialised,
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// The key source does not open it.
    #[error("the store stays sealed")]
    KeySource(#[from] KeySourceError),
    /// The record of the data key is damaged.
    #[error("the record of the data key is damaged")]
    Damaged,
}

impl Coded for OpenStoreError {
    fn code(&self) -> Code {
        match self {
            Self::Damaged | Self::FormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::NotInitialised => Code::DataDirNotInitialised,
            Self::Store(error) => error.code(),
            Self::KeySource(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::KeySource(error) => error.hint(),
            Self::Store(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// What the store holds about its own data key. Not sealed: it is what opens everything else. The trust domain is part of what is wrapped.
#[derive(Debug, Serialize, Deserialize)]
struct DataKeyRecord {
    format: u32,
    trust_domain: TrustDomain,
    key_id: String,
    /// Which kind of source opens it; absent for a key file.
    #[serde(default, skip_serializing_if = "KeySourceKind::is_file")]
    source: KeySourceKind,
    wrapped: Base64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery: Option<Recovery>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Recovery {
    public_key: RecoveryPublicKey,
    data_key: Base64,
}

/// What is sealed to the recovery key, in the words of its associated data.
fn recovery_context(trust_domain: &TrustDomain) -> String {
    format!("data-key/{trust_domain}")
}

pub(crate) fn data_key_place() -> Key {
    Key::meta("data-key")
}

/// A data key cannot be made.
#[derive(Debug, Error)]
pub enum NewDataKeyError {
    /// The key source does not wrap it.
    #[error("the data key cannot be wrapped")]
    KeySource(#[from] KeySourceError),
    /// There is no randomness, or the recovery key is unusable.
    #[error("the data key cannot be made")]
    Cipher,
}

impl Coded for NewDataKeyError {
    fn code(&self) -> Code {
        match self {
            Self::KeySource(error) => error.code(),
            Self::Cipher => Code::Internal,
        }
    }
}

/// Makes the data key of a new store, and returns the write that keeps it and the records it seals.
///
/// # Errors
/// When the key source does not wrap it, or the system gives no randomness.
pub fn new_data_key(
    trust_domain: &TrustDomain,
    key_source: &dyn KeySource,
    recovery: Option<&RecoveryPublicKey>,
) -> Result<(Write, SealedRecords), NewDataKeyError> {
    let octets = Zeroizing::new(platform::random::array::<{ DataKey::LEN }>().map_err(|_| NewDataKeyError::Cipher)?);
    let data_key = DataKey::from_slice(&*octets).ok_or(NewDataKeyError::Cipher)?;
    let key_id = hex::encode(platform::random::array::<8>().map_err(|_| NewDataKeyError::Cipher)?);
    let recovery = recovery.map(|public_key| to_recovery(trust_domain, public_key, &*octets)).transpose()?;
    let wrapped = key_source.wrap_key(trust_domain.as_str(), &data_key)?;
    let record = DataKeyRecord {
        format: format_of(wrapped.kind),
        trust_domain: trust_domain.clone(),
        source: wrapped.kind,
        wrapped: Base64(wrapped.octets),
        key_id,
        recovery,
    };
    let value = serde_json::to_vec(&record).map_err(|_| NewDataKeyError::Cipher)?;
    let records = SealedRecords::new(Sealer::new(trust_domain, &record.key_id, data_key));
    Ok((Write::Put(data_key_place(), value.into()), records))
}

fn to_recovery(trust_domain: &TrustDomain, public_key: &RecoveryPublicKey, data_key: &[u8]) -> Result<Recovery, NewDataKeyError> {
    let sealed = public_key
        .seal(&recovery_context(trust_domain), data_key)
        .map_err(|_| NewDataKeyError::Cipher)?;
    Ok(Recovery {
        public_key: public_key.clone(),
        data_key: Base64(sealed),
    })
}

/// Unwraps the data key of a store.
///
/// # Errors
/// When the store was never initialised, cannot be read, or the key source does not fit.
pub async fn open_store(store: &dyn Store, key_source: &dyn KeySource) -> Result<OpenedStore, OpenStoreError> {
    let (record, _) = read_record(store).await?;
    let data_key = key_source.unwrap_key(record.trust_domain.as_str(), &record.wrapped())?;
    let records = SealedRecords::new(Sealer::new(&record.trust_domain, &record.key_id, data_key));
    Ok(OpenedStore {
        trust_domain: record.trust_domain,
        records,
    })
}

impl DataKeyRecord {
    fn read(value: &[u8]) -> Result<Self, OpenStoreError> {
        check_format(value)?;
        serde_json::from_slice(value).map_err(|_| OpenStoreError::Damaged)
    }

    fn wrapped(&self) -> WrappedKey {
        WrappedKey {
            kind: self.source,
            octets: self.wrapped.0.clone(),
        }
    }

    fn wrapped_as(self, wrapped: WrappedKey) -> Self {
        Self {
            format: format_of(wrapped.kind),
            source: wrapped.kind,
            wrapped: Base64(wrapped.octets),
            ..self
        }
    }
}

/// Returns the version of the record: the oldest that can tell what it says.
fn format_of(kind: KeySourceKind) -> u32 {
    match kind {
        KeySourceKind::File => FORMAT_OF_FILE,
        KeySourceKind::Credential | KeySourceKind::Passphrase | KeySourceKind::Pkcs11 => FORMAT,
    }
}

/// Returns which kind of source opens the data key of a store, so that no other is asked.
///
/// # Errors
/// When the store was never initialised, or cannot be read.
pub async fn kind_of_source(store: &dyn Store) -> Result<KeySourceKind, OpenStoreError> {
    Ok(read_record(store).await?.0.source)
}

/// Reads the record of the data key, with the item it is in.
async fn read_record(store: &dyn Store) -> Result<(DataKeyRecord, Item), OpenStoreError> {
    let item = store.meta(data_key_place()).await?.ok_or(OpenStoreError::NotInitialised)?;
    Ok((DataKeyRecord::read(&item.value)?, item))
}

/// The format is read by itself first: a newer version may have changed everything else.
fn check_format(value: &[u8]) -> Result<(), OpenStoreError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = serde_json::from_slice(value).map_err(|_| OpenStoreError::Damaged)?;
    if (FORMAT_OF_FILE..=FORMAT).contains(&format) {
        Ok(())
    } else {
        Err(OpenStoreError::FormatUnknown { found: format })
    }
}

#[cfg(test)]
mod tests {
    use platform::sealing::{FileKeySource, RecoveryKey};

    use super::*;
    use crate::store::disk::Disk;
    use crate::store::{Commit, SledStore};

    fn trust_domain() -> TrustDomain {
        "example.org".parse().unwrap()
    }

    fn key_source(directory: &tempfile::TempDir) -> FileKeySource {
        FileKeySource::create_or_open(&directory.path().join("key")).unwrap().0
    }

    async fn store_with(directory: &tempfile::TempDir, key: Key, value: impl Into<Bytes>) -> SledStore {
        let store = SledStore::create(&directory.path().join("store"), 1, Disk::real()).unwrap();
        store.commit(Commit::new("test").put(key, value)).await.unwrap();
        store
    }

    #[test]
    fn a_record_opens_under_its_own_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let (_, records) = new_data_key(&trust_domain(), &key_source(&directory), None).unwrap();
        let (here, there) = (Key::meta("here"), Key::meta("there"));
        let sealed = records.seal(&here, &"value").unwrap();
        assert_eq!(records.open::<String>(&here, &sealed).unwrap(), "value");
        let moved = records.open::<String>(&there, &sealed).unwrap_err();
        assert!(matches!(moved, SealError::Unseal(UnsealError::NotAuthentic { .. })), "{moved}");
        let (_, of_another_store) = new_data_key(&trust_domain(), &key_source(&directory), None).unwrap();
        of_another_store.open::<String>(&here, &sealed).unwrap_err();
        let not_understood = records.open::<u64>(&here, &sealed).unwrap_err();
        assert_eq!(not_understood.code(), Code::StoreFormatUnknown);
        assert!(!not_understood.to_string().contains("value"));
    }

    #[tokio::test]
    async fn an_empty_store_a_newer_one_and_a_renamed_one_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let source = key_source(&directory);
        let (Write::Put(key, value), _) = new_data_key(&trust_domain(), &source, None).unwrap() else {
            panic!("a delete")
        };
        let renamed = String::from_utf8(value.to_vec()).unwrap().replace("example.org", "example.com");
        let cases = [
            ("nothing", Key::meta("other"), "{}".to_owned(), Code::DataDirNotInitialised),
            (
                "a newer format",
                key.clone(),
                r#"{"format":3,"all":"new"}"#.to_owned(),
                Code::StoreFormatUnknown,
            ),
            ("junk", key.clone(), "junk".to_owned(), Code::StoreFormatUnknown),
            ("another trust domain's name", key, renamed, Code::KeySourceUnavailable),
        ];
        for (name, key, value, expected) in cases {
            let directory = tempfile::tempdir().unwrap();
            let store = store_with(&directory, key, value).await;
            let error = open_store(&store, &source).await.unwrap_err();
            assert_eq!(error.code(), expected, "{name}: {error}");
        }
    }

    #[test]
    fn the_recovery_key_opens_the_data_key() {
        let directory = tempfile::tempdir().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        let (write, records) = new_data_key(&trust_domain(), &key_source(&directory), Some(recovery.public())).unwrap();
        let record: DataKeyRecord = serde_json::from_slice(write.value().unwrap()).unwrap();
        let sealed = record.recovery.unwrap();
        assert_eq!(sealed.public_key, *recovery.public());
        let octets = recovery.open(&recovery_context(&trust_domain()), &sealed.data_key.0).unwrap();
        let recovered = SealedRecords::new(Sealer::new(&trust_domain(), &record.key_id, DataKey::from_slice(&octets).unwrap()));
        let place = Key::meta("place");
        assert_eq!(recovered.open::<u64>(&place, &records.seal(&place, &7).unwrap()).unwrap(), 7);
    }
}
