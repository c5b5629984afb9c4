//! `server rekey`: the data key is wrapped by another source, while the server runs or when it does not.
//!
//! No sealed record changes, and nothing that runs notices: the commit replaces one record. What it protects from is the source before: a copied key file, a
//! passphrase that somebody knows. It does not protect from whoever opened the store with it before: the data key is the same.
//!
//! A new key in the same file is made so that a crash at any moment leaves a file that opens the store: both keys are in it from before the commit until after.

use std::path::PathBuf;
use std::sync::Arc;

use platform::lock::{DirectoryLock, LockError};
use platform::sealing::{FileKeySource, KeySource, KeySourceError, KeySourceSpec, Opening, ParseKeySourceError, Passphrase, PassphraseKeySource};
use thiserror::Error;
use tokio::sync::Mutex;
use trust_domains::clock::SharedClock;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{RekeyRequest, Rekeyed};

use crate::config::DataDir;
use crate::decisions::{Cause, DecisionLog};
use crate::journal::{Journal, JournalError, JournalOpenError};
use crate::seal::{self, OpenStoreError, RewrapError, SealedRecords};
use crate::store::disk::Disk;
use crate::store::{SharedStore, SledStore, StoreError};

/// Wraps the data key of a store by other sources.
pub struct Rekeying {
    store: SharedStore,
    records: SealedRecords,
    decisions: DecisionLog,
    /// What opens the store now. Held while it changes: one rekeying at a time.
    current: Mutex<KeySourceSpec>,
}

impl std::fmt::Debug for Rekeying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekeying").finish_non_exhaustive()
    }
}

/// The data key was not wrapped by another source: the one before opens the store as ever.
#[derive(Debug, Error)]
pub enum RekeyError {
    /// The journal did not take the decision.
    #[error("the rekeying cannot be recorded")]
    Journal(#[from] JournalError),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    JournalOpen(#[from] JournalOpenError),
    /// The new source cannot be used.
    #[error("the new key source cannot be used")]
    KeySource(#[from] KeySourceError),
    /// Another process holds the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A passphrase is the new source, and none was sent.
    #[error("the new key source is a passphrase, and there is none in the request")]
    NoPassphrase,
    /// A passphrase was sent for another kind of source.
    #[error("a passphrase is sent only where it is the new key source")]
    PassphraseUnasked,
    /// The store opens by something else than a key file, and no new source was named.
    #[error("the store is opened by {current}; only a key file gets a new key in its place")]
    NameSource {
        /// What opens it.
        current: String,
    },
    /// The text names no source.
    #[error(transparent)]
    Parse(#[from] ParseKeySourceError),
    /// It was not wrapped.
    #[error(transparent)]
    Rewrap(#[from] RewrapError),
    /// The stopped store cannot be opened.
    #[error("the store cannot be opened")]
    Sealed(#[from] OpenStoreError),
    /// The stopped store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
}

impl Coded for RekeyError {
    fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::JournalOpen(error) => error.code(),
            Self::KeySource(error) => error.code(),
            Self::Lock(error) => error.code(),
            Self::NameSource { .. } | Self::NoPassphrase | Self::Parse(_) | Self::PassphraseUnasked => Code::InvalidRequest,
            Self::Rewrap(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::KeySource(error) => error.hint(),
            Self::NameSource { .. } => "name the new one: troth server rekey --key-source SOURCE".to_owned(),
            Self::Rewrap(error) => error.hint(),
            Self::Sealed(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// What shall wrap the data key.
enum Target {
    /// A new key in the key file that there is.
    NewKeyIn(PathBuf),
    /// Another source.
    Other(KeySourceSpec, Option<Passphrase>),
}

impl Rekeying {
    /// Returns what rekeys a store that is open.
    #[must_use]
    pub fn new(store: SharedStore, records: SealedRecords, decisions: DecisionLog, current: KeySourceSpec) -> Self {
        Self {
            store,
            records,
            decisions,
            current: Mutex::new(current),
        }
    }

    /// Wraps the data key by what was asked for.
    ///
    /// # Errors
    /// [`RekeyError`]; what opened the store before opens it then.
    pub async fn rekey(&self, request: RekeyRequest, cause: &Cause) -> Result<Rekeyed, RekeyError> {
        let mut current = self.current.lock().await;
        let target = Target::of(request, &current)?;
        let named = match &target {
            Target::NewKeyIn(path) => KeySourceSpec::File(path.clone()),
            Target::Other(spec, _) => spec.clone(),
        };
        let source = target.open().await?;
        self.decisions.record(vec![cause.decision("data_key_rewrapped", &named)]).await?;
        seal::rewrap(self.store.as_ref(), &self.records, source).await?;
        let replaced = match &target {
            Target::NewKeyIn(path) => {
                // The store is safe with both keys in the file; with the old one gone a copy of it opens nothing.
                FileKeySource::end_replacing(path)?;
                None
            }
            Target::Other(..) => Some(current.to_string()),
        };
        tracing::info!(key_source = %named, "the data key is wrapped by another key");
        *current = named.clone();
        Ok(Rekeyed {
            key_source: named.to_string(),
            replaced,
        })
    }

    /// Opens a store that no server has open.
    ///
    /// # Errors
    /// [`RekeyError`], when a server has it too.
    pub async fn of_stopped(data_dir: &DataDir, current: KeySourceSpec, clock: SharedClock) -> Result<(Self, DirectoryLock), RekeyError> {
        if !data_dir.store().exists() {
            return Err(OpenStoreError::NotInitialised.into());
        }
        let lock = DirectoryLock::acquire(data_dir.path(), DataDir::LOCK)?;
        let store: SharedStore = Arc::new(SledStore::open(&data_dir.store(), Disk::real())?);
        let opened = seal::open_with(store.as_ref(), &current).await?;
        let (journal, _) = Journal::open(&data_dir.journal(), clock, Disk::real())?;
        let decisions = DecisionLog::new(Arc::new(journal));
        Ok((Self::new(store, opened.records, decisions, current), lock))
    }
}

impl Target {
    fn of(request: RekeyRequest, current: &KeySourceSpec) -> Result<Self, RekeyError> {
        let passphrase = request.passphrase.map(|sent| Passphrase::new(sent.expose().as_bytes())).transpose()?;
        let spec: Option<KeySourceSpec> = request.key_source.map(|text| text.parse()).transpose()?;
        match (spec, passphrase, current.key_file()) {
            (Some(spec @ KeySourceSpec::Passphrase(_)), Some(passphrase), _) => Ok(Self::Other(spec, Some(passphrase))),
            (Some(KeySourceSpec::Passphrase(_)), None, _) => Err(RekeyError::NoPassphrase),
            (_, Some(_), _) => Err(RekeyError::PassphraseUnasked),
            (Some(spec), None, Some(file)) if spec.key_file() == Some(file) => Ok(Self::NewKeyIn(file.to_owned())),
            (Some(spec), None, _) => Ok(Self::Other(spec, None)),
            (None, None, Some(file)) => Ok(Self::NewKeyIn(file.to_owned())),
            (None, None, None) => Err(RekeyError::NameSource { current: current.to_string() }),
        }
    }

    /// Opens the new source; a missing key file or token key is made.
    async fn open(&self) -> Result<Arc<dyn KeySource>, KeySourceError> {
        match self {
            Self::NewKeyIn(path) => Ok(Arc::new(FileKeySource::begin_replacing(path)?)),
            Self::Other(_, Some(passphrase)) => Ok(Arc::new(PassphraseKeySource::new(passphrase.clone()))),
            Self::Other(spec, None) => seal::open_source(spec, Opening::New).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::wire::admin::NewPassphrase;

    use super::*;

    fn of(key_source: Option<&str>, passphrase: Option<&str>, current: &str) -> Result<Target, RekeyError> {
        let request = RekeyRequest {
            key_source: key_source.map(str::to_owned),
            passphrase: passphrase.map(NewPassphrase::new),
        };
        Target::of(request, &current.parse().unwrap())
    }

    #[test]
    fn a_key_file_gets_a_new_key_in_its_place_and_anything_else_is_another_source() {
        for asked in [None, Some("file:/k")] {
            assert!(matches!(of(asked, None, "file:/k"), Ok(Target::NewKeyIn(path)) if path.as_os_str() == "/k"));
        }
        assert!(matches!(of(Some("file:/new"), None, "file:/k"), Ok(Target::Other(..))));
        assert!(matches!(of(Some("credential:c"), None, "passphrase"), Ok(Target::Other(..))));
        assert!(matches!(of(None, None, "passphrase"), Err(RekeyError::NameSource { .. })));
    }

    #[test]
    fn a_passphrase_is_sent_where_it_is_the_new_source_and_nowhere_else() {
        assert!(matches!(
            of(Some("passphrase"), Some("correct horse battery"), "file:/k"),
            Ok(Target::Other(_, Some(_)))
        ));
        assert!(matches!(of(Some("passphrase"), None, "file:/k"), Err(RekeyError::NoPassphrase)));
        assert!(matches!(
            of(Some("file:/n"), Some("correct horse battery"), "file:/k"),
            Err(RekeyError::PassphraseUnasked)
        ));
    }
}
