//! The issuance journal: what this replica signed and decided, in an append-only file that nobody can change unseen.
//!
//! - A record is on the disk before [`Journal::append`] returns, and so before the key is used: nothing valid exists that is not recorded. All that
//!   wait share one `fdatasync`.
//! - Records are chained: each carries SHA-256 over the hash before it and its own octets. The chain is verified at every open.
//! - Segments are dropped whole once every certificate and token in them has expired; the drop is itself a record.
//! - An index of the unexpired certificates, for revocation, is rebuilt at open, and with it how much each authority has signed.
//! - A torn tail, which was never acknowledged, is cut at open and the cut is recorded. Damage to what was acknowledged is an error.
//! - A failed write or sync latches: nothing more is recorded, and so nothing signed, until a new start has read what is really there.
//!
//! ```text
//! DIR/00000000000000000001.journal    named by the number of its first record
//!   header  "TROTHJNL", version: u32, number of the first record: u64, hash before the first record: 32 octets
//!   record  "TRJ\x01", length: u32, number of the last durable record when it was written: u64, hash: 32 octets, JSON
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use trust_domains::clock::SharedClock;
use trust_domains::revocation::RevocationRule;
use trust_domains::wire::audit::{AuditEvent, AuditRecord};
use trust_domains::{Serial, SpiffeId, Timestamp};

use crate::store::disk::Disk;

mod error;
mod frame;
mod read;
mod recovery;
mod segment;
mod serials;
mod signed;
mod writer;

pub use error::{JournalError, JournalOpenError};
pub use serials::Concerned;

use segment::Segments;
use serials::Serials;
use signed::Signed;
use writer::{Request, Writer};

/// The issuance journal of this replica. Clones share it.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    last: watch::Receiver<u64>,
}

/// What the writer changes and everyone reads.
#[derive(Debug)]
struct Shared {
    serials: Serials,
    signed: Signed,
    segments: Mutex<Segments>,
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// The octets of the torn tail that were cut; a record notes them.
    pub cut_bytes: u64,
    /// The number of the last record.
    pub last_seq: u64,
    /// The records that were read and verified.
    pub records: u64,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Segments whose certificates and tokens had all expired.
    pub segments: u64,
    /// The records in them.
    pub records: u64,
}

/// Requests that may wait for the writer. Issuing waits for each of its own, so there are as many as batches being signed.
const QUEUE: usize = 1_024;

impl Journal {
    /// The most events in one append: two of the largest batches.
    pub const MAX_EVENTS: usize = 1_000;

    /// The most records that one read returns.
    pub const MAX_READ: usize = 10_000;

    /// Opens the journal in a directory, which is made if it is not there: reads it all, verifies the chain, cuts and notes a torn tail.
    ///
    /// # Errors
    /// What was acknowledged is damaged, the format is not known, or the directory cannot be read or written.
    pub fn open(directory: &Path, clock: SharedClock, disk: Disk) -> Result<(Self, OpenReport), JournalOpenError> {
        Self::open_with(directory, clock, disk, segment::MAX_LEN)
    }

    /// As [`Journal::open`], with another length after which a segment is closed.
    fn open_with(directory: &Path, clock: SharedClock, disk: Disk, segment_len: u64) -> Result<(Self, OpenReport), JournalOpenError> {
        let recovered = recovery::recover(directory, clock.now().wall)?;
        let cut_bytes = recovered.cut_bytes;
        let records = recovered.records;
        let (last, watching) = watch::channel(recovered.end.last_seq);
        let shared = Arc::new(Shared {
            serials: recovered.serials,
            signed: recovered.signed,
            segments: Mutex::new(recovered.segments),
        });
        let mut writer = Writer::new(directory, recovered.end, Arc::clone(&shared), last, clock, disk, segment_len)?;
        if cut_bytes > 0 {
            writer.note_cut(cut_bytes)?;
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer.run(requests));
        let thread = thread.map_err(|source| JournalOpenError::Io {
            doing: "starting the writer",
            path: directory.to_owned(),
            source,
        })?;
        let report = OpenReport {
            cut_bytes,
            last_seq: *watching.borrow(),
            records,
        };
        Ok((
            Self(Arc::new(Inner {
                shared,
                queue: Some(queue),
                writer: Some(thread),
                last: watching,
            })),
            report,
        ))
    }

    /// Records events, in order and without others between them; returns the number of the last one. They are on the disk when it returns.
    ///
    /// An append whose future is dropped may still be performed.
    ///
    /// # Errors
    /// The disk has too little free space, the append is too large, or the journal has stopped after a failure: nothing may be signed.
    pub async fn append(&self, events: Vec<AuditEvent>) -> Result<u64, JournalError> {
        if events.len() > Self::MAX_EVENTS {
            return Err(JournalError::TooLarge {
                limit: Self::MAX_EVENTS,
                actual: events.len(),
            });
        }
        if events.is_empty() {
            return Ok(self.last_seq());
        }
        self.ask(|answer| Request::Append { events, answer }).await
    }

    /// Drops the segments in which every certificate and token has expired, and forgets expired serials. This cannot be undone: call it only while the
    /// wall clock is trusted.
    ///
    /// # Errors
    /// As [`Journal::append`]: the drop is recorded first.
    pub async fn prune(&self, now: Timestamp) -> Result<PruneReport, JournalError> {
        self.ask(|answer| Request::Prune { now, answer }).await
    }

    /// Returns whether this replica signed an unexpired certificate with this serial.
    #[must_use]
    pub fn contains(&self, serial: &Serial) -> bool {
        self.not_after(serial).is_some()
    }

    /// Returns the end of the unexpired certificate with this serial, if this replica signed one.
    #[must_use]
    pub fn not_after(&self, serial: &Serial) -> Option<Timestamp> {
        self.0.shared.serials.not_after(serial)
    }

    /// Returns whether the unexpired certificate with this serial is one of this identity.
    #[must_use]
    pub fn is_of(&self, serial: &Serial, spiffe_id: &SpiffeId) -> bool {
        self.0.shared.serials.is_of(serial, spiffe_id.as_str())
    }

    /// Returns the unexpired certificates, recorded after a number, that rules concern. `epoch` is the store's: by it a rule knows its journal.
    #[must_use]
    pub fn concerned<'a>(&self, rules: impl Iterator<Item = &'a RevocationRule>, epoch: u64, after: u64) -> Vec<Concerned> {
        self.0.shared.serials.concerned(rules, epoch, after)
    }

    /// Returns how many unexpired certificates and tokens this replica signed with an authority, which is named as in the records: by its key identifier in
    /// hex.
    #[must_use]
    pub fn signed_by(&self, issuer: &str, now: Timestamp) -> u64 {
        self.0.shared.signed.unexpired(issuer, now)
    }

    /// Returns durable records after a number, in order, at most so many; empty at the end.
    ///
    /// # Errors
    /// The files cannot be read, or hold what was not written.
    pub async fn read(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, JournalError> {
        let (shared, last) = (Arc::clone(&self.0.shared), self.last_seq());
        let read = move || read::read(&shared, after, last, limit.min(Self::MAX_READ));
        tokio::task::spawn_blocking(read).await.unwrap_or(Err(JournalError::Unavailable))
    }

    /// Returns the number of the last durable record, 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        *self.0.last.borrow()
    }

    /// Returns the number of the last durable record as it changes: what a follower waits for.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.last.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Request) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.0.queue.as_ref().ok_or(JournalError::Unavailable)?;
        queue.send(request(answer)).await.map_err(|_| JournalError::Unavailable)?;
        answered.await.map_err(|_| JournalError::Unavailable)?
    }
}

impl Shared {
    fn segments(&self) -> std::sync::MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// Lets the writer finish what waits, so that the file is closed when this returns.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was seen by those who waited for it.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
