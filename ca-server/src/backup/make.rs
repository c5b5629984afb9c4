//! Making a backup: a snapshot of the store at one revision, sealed part by part.

use bytes::{Bytes, BytesMut};
use platform::sealing::DataKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::{Timestamp, TrustDomain};

use super::error::BackupError;
use super::header::BackupHeader;
use super::parts::{PART, Parts};
use super::records;
use crate::config::DataDir;
use crate::decisions::{Cause, DecisionLog};
use crate::seal;
use crate::store::disk::Disk;
use crate::store::{Item, Prefix, SledStore, Snapshot, Store};

/// A backup that was begun: an iterator over the octets of its file.
pub struct Backup {
    header: BackupHeader,
    preamble: Option<Bytes>,
    parts: Parts,
    items: std::vec::IntoIter<Item>,
    is_over: bool,
}

/// Makes a backup of a running server's store; `keys_not_included` names the authorities whose keys live in a token.
///
/// The whole store is held in memory until the last part was taken: about a quarter of a kilobyte an entry.
///
/// # Errors
/// The trust domain has no recovery key, the store cannot be read, or the backup cannot be recorded.
pub async fn of_running(
    store: &dyn Store,
    now: Timestamp,
    keys_not_included: Vec<String>,
    decisions: &DecisionLog,
    cause: &Cause,
) -> Result<Backup, BackupError> {
    let backup = Backup::of(store.snapshot(Prefix::ALL).await?, now, keys_not_included)?;
    let mut decision = cause.decision("backup_made", &backup.header.trust_domain);
    decision.reason = Some(format!("at revision {}", backup.header.revision));
    decisions.record(vec![decision]).await?;
    Ok(backup)
}

/// Makes a backup from the data directory of a server that does not run. Its key source is not needed.
///
/// # Errors
/// As [`of_running`]; and a server has the store open.
pub async fn of_stopped(data_dir: &DataDir, now: Timestamp) -> Result<Backup, BackupError> {
    let store = SledStore::open(&data_dir.store(), Disk::real())?;
    Backup::of(store.snapshot(Prefix::ALL).await?, now, Vec::new())
}

impl Backup {
    fn of(snapshot: Snapshot, made_at: Timestamp, keys_not_included: Vec<String>) -> Result<Self, BackupError> {
        let (trust_domain, recovery) = seal::recovery_of(&snapshot.items)?;
        let recovery_key = recovery.ok_or(BackupError::NoRecoveryKey)?;
        let key = DataKey::generate()?;
        let sealed_key = recovery_key.seal_key(&BackupHeader::key_context(&trust_domain), &key)?;
        let header = BackupHeader {
            trust_domain,
            made_at,
            revision: snapshot.revision,
            recovery_key,
            keys_not_included,
            key: Base64(sealed_key),
        };
        let preamble = header.encode().ok_or(platform::sealing::UnsealError::Cipher)?;
        Ok(Self {
            parts: Parts::behind(&preamble, key),
            preamble: Some(preamble.into()),
            header,
            items: snapshot.items.into_iter(),
            is_over: false,
        })
    }

    /// Returns what the backup is of.
    #[must_use]
    pub fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// Returns whose backup it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.header.trust_domain
    }

    fn next_part(&mut self) -> Result<Bytes, BackupError> {
        let mut part = BytesMut::new();
        for item in self.items.by_ref() {
            records::put(&mut part, &item);
            if part.len() >= PART {
                break;
            }
        }
        self.is_over = self.items.len() == 0;
        let sealed = self.parts.seal(&part, self.is_over)?;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        Ok([&length.to_be_bytes()[..], &sealed].concat().into())
    }
}

impl Iterator for Backup {
    type Item = Result<Bytes, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(preamble) = self.preamble.take() {
            return Some(Ok(preamble));
        }
        (!self.is_over).then(|| self.next_part())
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("header", &self.header).finish_non_exhaustive()
    }
}
