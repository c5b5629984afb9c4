//! `server restore`: a trust domain goes on from a backup, in an empty data directory, with a new key source.
//!
//! What the old server did after the backup is not known here. So:
//! - A new epoch: every agent starts from a whole snapshot.
//! - Commits are counted from far above the backup's: the bundle's sequence and the numbers of revocation lists, which are counted by them, are above
//!   anything that was published.
//! - Every issuing CA and token key is replaced; the old ones stay until what they signed has ended.
//! - Join tokens are void: the old server may have admitted a node by one.
//! - For a while a node may renew with an SVID that is newer than its record ([`crate::attestation`]): it was issued after the backup.

use std::path::PathBuf;
use std::sync::Arc;

use platform::files::{self, FileError};
use platform::random::RandomError;
use platform::sealing::{KeySource, KeySourceError, KeySourceSpec, Opening, ParseRecoveryKeyError, RecoveryKey};
use thiserror::Error;
use trust_domains::clock::SharedClock;
use trust_domains::node::{NodeName, NodeRecord};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::audit::{AuditEvent, Decision};
use trust_domains::{Revision, Timestamp, TrustDomain};

use super::error::ReadBackupError;
use super::header::BackupHeader;
use super::read::OpenedBackup;
use super::records::Record;
use crate::attestation::Restored;
use crate::authority;
use crate::config::DataDir;
use crate::init::{FreshDirectory, FreshError};
use crate::journal::{Journal, JournalError, JournalOpenError};
use crate::registry::records::{self, RecordError};
use crate::seal::{self, RecoverError, SealError, SealedRecords};
use crate::store::disk::Disk;
use crate::store::{Commit, CommitError, Prefix, SledStore, Store, StoreError, Write};

/// How many commits a restored store starts above its backup: at a thousand commits a second the old server could have gone on for fifty days.
const COMMITS_SKIPPED: u64 = 1 << 32;

/// How many commits a second no server reaches: counted by the clock, a second restore from one backup starts above whatever the first published since.
const COMMITS_A_SECOND: u64 = 1 << 20;

/// Where counting by the clock ends, whatever it says: half of the largest number that every JSON parser reads exactly. The year 2106 is below.
const HIGHEST_BY_CLOCK: u64 = 1 << 52;

/// The longest file of a recovery key.
const RECOVERY_KEY_FILE: usize = 4096;

/// The writes of one commit: half of the most, as a record may be long.
const WRITES: usize = Commit::MAX_WRITES / 2;

/// The octets of one commit.
const OCTETS: usize = Commit::MAX_OCTETS / 2;

/// What is asked of `server restore`.
#[derive(Debug)]
pub struct RestoreParams {
    /// The backup.
    pub from: PathBuf,
    /// The file with the recovery key.
    pub recovery_key_file: PathBuf,
    /// Where: absent or empty.
    pub data_dir: PathBuf,
    /// What opens the sealed data key from now on; a key file beside the data directory unless said.
    pub key_source: Option<KeySourceSpec>,
    /// The clock.
    pub clock: SharedClock,
}

/// What `server restore` made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// What was restored.
    pub header: BackupHeader,
    /// Where it is.
    pub data_dir: PathBuf,
    /// What opens the sealed data key.
    pub key_source: KeySourceSpec,
    /// The registration entries.
    pub entries: usize,
    /// The nodes.
    pub nodes: usize,
    /// Those that are banned: bans made after the backup are not among them.
    pub banned: Vec<NodeName>,
    /// The join tokens that are void.
    pub void_tokens: usize,
    /// The last commit of the restored store.
    pub revision: Revision,
}

/// Nothing was restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error(transparent)]
    Backup(#[from] ReadBackupError),
    /// A part was not committed.
    #[error("the trust domain cannot be stored")]
    Commit(#[from] CommitError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data directory cannot be begun.
    #[error(transparent)]
    Fresh(#[from] FreshError),
    /// The restore cannot be recorded.
    #[error("the restore cannot be recorded")]
    Journal(#[from] JournalError),
    /// The journal cannot be made.
    #[error("the journal cannot be made")]
    JournalOpen(#[from] JournalOpenError),
    /// The key source cannot be used.
    #[error("the key source cannot be used")]
    KeySource(#[from] KeySourceError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The text is no recovery key.
    #[error("{}: {source}", path.display())]
    RecoveryKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ParseRecoveryKeyError,
    },
    /// The data key is not recovered.
    #[error("the data key cannot be recovered")]
    Recover(#[from] RecoverError),
    /// A record of the backup is not understood.
    #[error("a record of the backup cannot be used")]
    Seal(#[from] SealError),
    /// The store cannot be made.
    #[error("the store cannot be made")]
    Store(#[from] StoreError),
    /// A node's record is not understood.
    #[error("a record of the backup cannot be used")]
    Record(#[from] RecordError),
}

impl Coded for RestoreError {
    fn code(&self) -> Code {
        match self {
            Self::Backup(error) => error.code(),
            Self::Commit(error) => error.code(),
            Self::File(error) => error.code(),
            Self::Fresh(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::JournalOpen(error) => error.code(),
            Self::KeySource(error) => error.code(),
            Self::Random(_) => Code::Internal,
            Self::Recover(error) => error.code(),
            Self::RecoveryKey { source, .. } => source.code(),
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Record(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Fresh(error) => error.hint(),
            Self::KeySource(error) => error.hint(),
            Self::RecoveryKey { source, .. } => source.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Restores a trust domain. The whole backup is opened and understood before anything is made.
///
/// That the old server is gone cannot be proved, and is the caller's to ask: two servers of one trust domain on two stores would know nothing of each other.
///
/// # Errors
/// The backup or the recovery key cannot be used, the data directory is not empty, or something cannot be made. A restore that ended in the middle left a
/// directory that no server runs on, and that says so.
pub async fn restore(params: RestoreParams) -> Result<RestoreReport, RestoreError> {
    let data_dir = DataDir::new(params.data_dir);
    let spec = params.key_source.unwrap_or_else(|| KeySourceSpec::File(data_dir.default_key_file()));
    FreshDirectory::check(&data_dir)?;
    let recovery = recovery_key(params.recovery_key_file)?;
    let backup = OpenedBackup::open(&params.from, &recovery)?;

    let directory = FreshDirectory::take(&data_dir)?;
    let key_source = seal::open_source(&spec, Opening::New).await?;
    let now = params.clock.now().wall;
    let planned = Planned::of(&backup, &recovery, key_source.as_ref(), now)?;
    directory.begin()?;
    let revision = write(&data_dir, &backup, &planned.writes, now).await?;
    note(&data_dir, &params.clock, backup.header()).await?;
    directory.finish()?;
    Ok(RestoreReport {
        header: backup.header().clone(),
        data_dir: data_dir.path().to_owned(),
        key_source: spec,
        entries: planned.entries,
        nodes: planned.nodes,
        banned: planned.banned,
        void_tokens: planned.void_tokens,
        revision,
    })
}

fn recovery_key(path: PathBuf) -> Result<RecoveryKey, RestoreError> {
    let octets = files::read_secret(&path, RECOVERY_KEY_FILE)?;
    let text = std::str::from_utf8(&octets).unwrap_or_default();
    RecoveryKey::parse(text).map_err(|source| RestoreError::RecoveryKey { path, source })
}

/// What is written, and what is to be told of it.
#[derive(Default)]
struct Planned {
    writes: Vec<Write>,
    entries: usize,
    nodes: usize,
    banned: Vec<NodeName>,
    void_tokens: usize,
}

impl Planned {
    fn of(backup: &OpenedBackup, recovery: &RecoveryKey, key_source: &dyn KeySource, now: Timestamp) -> Result<Self, RestoreError> {
        let place = seal::data_key_place();
        let data_key = backup.records.iter().find(|record| record.key == place);
        let data_key = data_key.ok_or(ReadBackupError::Damaged { what: "its data key" })?;
        let (data_key, sealed) = seal::rewrap_recovered(&data_key.value, recovery, key_source)?;
        let mut planned = Self::default();
        planned.writes.push(data_key);
        for record in backup.records.iter().filter(|record| record.key != place) {
            planned.take(record, &sealed)?;
        }
        planned.writes.push(Restored { at: now }.write(&sealed)?);
        Ok(planned)
    }

    fn take(&mut self, record: &Record, sealed: &SealedRecords) -> Result<(), RestoreError> {
        let key = &record.key;
        if Prefix::TOKENS.contains(key) {
            self.void_tokens += 1;
            return Ok(());
        }
        if Prefix::AUTHORITIES.contains(key) {
            self.writes.extend(authority::restored(sealed, key, &record.value)?);
            return Ok(());
        }
        self.count(record)?;
        self.writes.push(Write::Put(key.clone(), record.value.clone()));
        Ok(())
    }

    fn count(&mut self, record: &Record) -> Result<(), RestoreError> {
        if Prefix::ENTRIES.contains(&record.key) {
            self.entries += 1;
        } else if Prefix::NODES.contains(&record.key) {
            let node: NodeRecord = records::decode(&record.key, &record.value)?;
            self.nodes += 1;
            if node.is_banned() {
                self.banned.push(node.name().clone());
            }
        }
        Ok(())
    }
}

/// Returns the counter that a store starts with which is restored now.
fn first_counter(backup: u64, now: Timestamp) -> u64 {
    let by_clock = u64::try_from(now.unix()).unwrap_or_default().saturating_mul(COMMITS_A_SECOND);
    backup.max(by_clock.min(HIGHEST_BY_CLOCK)).saturating_add(COMMITS_SKIPPED)
}

async fn write(data_dir: &DataDir, backup: &OpenedBackup, writes: &[Write], now: Timestamp) -> Result<Revision, RestoreError> {
    let start = Revision {
        epoch: u64::from_be_bytes(platform::random::array()?),
        counter: first_counter(backup.header().revision.counter, now),
    };
    let store = SledStore::create_at(&data_dir.store(), start, Disk::real())?;
    let mut revision = start;
    let mut commit = Commit::new("restored");
    let mut octets = 0;
    for write in writes {
        let length = write.value().map_or(0, bytes::Bytes::len);
        if commit.writes.len() >= WRITES || (octets + length > OCTETS && !commit.writes.is_empty()) {
            revision = store.commit(std::mem::replace(&mut commit, Commit::new("restored"))).await?;
            octets = 0;
        }
        octets += length;
        commit.writes.push(write.clone());
    }
    if !commit.writes.is_empty() {
        revision = store.commit(commit).await?;
    }
    Ok(revision)
}

/// The first record of the new journal says where everything before it is.
async fn note(data_dir: &DataDir, clock: &SharedClock, header: &BackupHeader) -> Result<(), RestoreError> {
    let (journal, _) = Journal::open(&data_dir.journal(), Arc::clone(clock), Disk::real())?;
    let decision = Decision {
        action: "restored".to_owned(),
        subject: TrustDomain::to_string(&header.trust_domain),
        actor: format!("local:uid:{}", rustix::process::getuid().as_raw()),
        reason: Some(format!("from the backup of {} at revision {}", header.made_at, header.revision)),
        // No request caused it.
        trace_id: String::new(),
    };
    journal.append(vec![AuditEvent::Decided(decision)]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restore_counts_from_above_what_an_earlier_one_from_the_same_backup_reached() {
        let at = Timestamp::from_unix;
        let first = first_counter(7, at(1_795_000_000));
        let reached = first + 1_000_000;
        assert!(first > 7 && first_counter(7, at(1_795_000_060)) > reached);
        assert!(first_counter(reached, at(1_795_000_060)) > reached, "from a backup of the restored");
        // A clock that is wrong costs nothing but that.
        for unix in [0, -1, 60, i64::MAX] {
            let counter = first_counter(reached, at(unix));
            assert!(counter > reached && counter < 1 << 53, "{unix}");
        }
    }
}
