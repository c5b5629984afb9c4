//! Rekeying: the data key is wrapped by another source, in one commit. No sealed record changes.

use std::sync::Arc;

use platform::sealing::{KeySource, KeySourceError};
use thiserror::Error;
use trust_domains::problem::{Code, Coded};

use super::{OpenStoreError, SealedRecords, read_record};
use crate::store::{Commit, CommitError, Store, Write};

/// A data key was not wrapped by another source: the one before opens the store as ever.
#[derive(Debug, Error)]
pub enum RewrapError {
    /// The commit was not performed.
    #[error("the wrapped data key cannot be stored")]
    Commit(#[from] CommitError),
    /// The new source cannot be used.
    #[error("the new key source cannot be used")]
    KeySource(#[from] KeySourceError),
    /// The data key in the store is another than the one that is open.
    #[error("the data key in the store is another than the one that is open")]
    OtherDataKey,
    /// The record of the data key cannot be read.
    #[error(transparent)]
    Record(#[from] OpenStoreError),
}

impl Coded for RewrapError {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::KeySource(error) => error.code(),
            Self::OtherDataKey => Code::StoreConflict,
            Self::Record(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::KeySource(error) => error.hint(),
            Self::Record(error) => error.hint(),
            Self::Commit(_) | Self::OtherDataKey => self.code().facts().hint.to_owned(),
        }
    }
}

/// Wraps the data key of a store by another source. Until the commit the source before opens the store, from it on the new one. What is sealed to the
/// recovery key stays.
///
/// # Errors
/// [`RewrapError`].
pub async fn rewrap(store: &dyn Store, records: &SealedRecords, source: Arc<dyn KeySource>) -> Result<(), RewrapError> {
    let (record, item) = read_record(store).await?;
    let sealer = records.sealer();
    if record.key_id != sealer.key_id() {
        return Err(RewrapError::OtherDataKey);
    }
    // A token, or the work that a passphrase takes, on a thread where it holds nobody up.
    let wrapping = tokio::task::spawn_blocking(move || sealer.wrap_key(source.as_ref())).await;
    let wrapped = record.wrapped_as(wrapping.unwrap_or(Err(KeySourceError::Wrap))?);
    let value = serde_json::to_vec(&wrapped).map_err(|_| OpenStoreError::Damaged)?;
    let mut commit = Commit::new("data_key_rewrapped").unmodified(item.key.clone(), item.modified);
    commit.writes.push(Write::Put(item.key, value.into()));
    store.commit(commit).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use platform::sealing::{KeySourceKind, KeySourceSpec, Opening, Passphrase, PassphraseKeySource, RecoveryKey};

    use super::*;
    use crate::seal::{kind_of_source, new_data_key, open_store, open_with, rewrap_recovered};
    use crate::store::disk::Disk;
    use crate::store::{Key, Prefix, SledStore};

    #[tokio::test]
    async fn after_a_rewrap_the_new_source_opens_the_same_records_the_old_one_does_not_and_the_recovery_key_still_does() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::create(&directory.path().join("store"), 1, Disk::real()).unwrap();
        let file = KeySourceSpec::File(directory.path().join("key"));
        let (recovery, trust_domain) = (RecoveryKey::generate().unwrap(), "example.org".parse().unwrap());
        let source = file.open(Opening::New).unwrap();
        let (write, records) = new_data_key(&trust_domain, source.as_ref(), Some(recovery.public())).unwrap();
        let place = Key::meta("secret");
        let mut commit = Commit::new("test");
        commit.writes.extend([write, records.put(place.clone(), &7).unwrap()]);
        store.commit(commit).await.unwrap();

        let passphrase = Arc::new(PassphraseKeySource::new(Passphrase::new(b"correct horse battery").unwrap()));
        rewrap(&store, &records, passphrase.clone()).await.unwrap();
        assert_eq!(kind_of_source(&store).await.unwrap(), KeySourceKind::Passphrase);
        let refused = open_with(&store, &file).await.unwrap_err();
        assert!(refused.hint().contains("--key-source passphrase"), "{}", refused.hint());
        let opened = open_store(&store, passphrase.as_ref()).await.unwrap();
        let items = store.snapshot(Prefix::META).await.unwrap().items;
        let sealed = |records: &SealedRecords| records.open_item::<u64>(items.iter().find(|item| item.key == place).unwrap());
        assert_eq!(sealed(&opened.records).unwrap(), 7);
        let wrapped = items.iter().find(|item| item.key == Key::meta("data-key")).unwrap();
        let (_, recovered) = rewrap_recovered(&wrapped.value, &recovery, source.as_ref()).unwrap();
        assert_eq!(sealed(&recovered).unwrap(), 7);

        rewrap(&store, &opened.records, source.clone()).await.unwrap();
        open_with(&store, &file).await.unwrap();
    }
}
