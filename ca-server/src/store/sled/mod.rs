//! The embedded store: sled, with the durability that sled by itself does not have.
//!
//! - sled's `flush` does not fsync: a commit is acknowledged after this backend synced sled's file itself, once for a group of waiting commits.
//! - A group is one sled batch, which sled recovers whole or not at all, and which holds the new revision.
//! - sled puts a page over 128 KiB into a file of its own under `blobs/` that it never syncs: values are split so that no page grows so large, and
//!   nothing is acknowledged while `blobs/` is not empty.
//! - sled reuses segments of its file by its own mark of what is stable, which knows nothing of a sync: see [`writer`] for why that is safe here.
//! - A failed sync, or an error that sled latched, ends the process.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use trust_domains::Revision;

use super::disk::Disk;
use super::watch::Recent;
use super::{Commit, CommitError, Key, Prefix, Snapshot, Store, StoreError, WatchStream};

mod files;
mod group;
mod layout;
mod writer;

use files::Files;
use writer::{Waiting, Writer};

/// A store in a directory of this machine, for one process.
#[derive(Debug)]
pub struct SledStore {
    files: Arc<Files>,
    recent: Arc<Recent>,
    gate: Arc<Gate>,
    queue: Option<mpsc::Sender<Waiting>>,
    writer: Option<JoinHandle<()>>,
}

/// Readers hold it shared while they read, the writer alone from the first write of a group until that is durable: a reader never sees what may be lost.
#[derive(Debug, Default)]
struct Gate(RwLock<Phase>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    /// After a failure: what is in memory may differ from what is on the disk.
    Stopped,
}

/// Commits that may wait for the writer; further ones wait for a place. Each holds its values in memory.
const QUEUE: usize = 1_024;

/// The records of one page: about 2 MiB of entries. Tests have several pages of few records.
const PAGE: usize = if cfg!(test) { 4 } else { 4_096 };

impl SledStore {
    /// Makes a new store with a random epoch in a directory that is absent or empty; durable when it returns.
    ///
    /// # Errors
    /// There is something in the directory, or it cannot be written.
    pub fn create(directory: &Path, epoch: u64, disk: Disk) -> Result<Self, StoreError> {
        Self::create_at(directory, Revision { epoch, counter: 0 }, disk)
    }

    /// As [`create`](Self::create); its first commit is the one after `start`.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_at(directory: &Path, start: Revision, disk: Disk) -> Result<Self, StoreError> {
        let files = Files::create(directory, start)?;
        Self::start(files, start, disk)
    }

    /// Opens the store in a directory, at the revision of its last durable commit.
    ///
    /// # Errors
    /// There is none, it was not completely made, another process has it, it is damaged, or it is of an unknown format.
    pub fn open(directory: &Path, disk: Disk) -> Result<Self, StoreError> {
        let (files, revision) = Files::open(directory)?;
        Self::start(files, revision, disk)
    }

    fn start(files: Files, revision: Revision, disk: Disk) -> Result<Self, StoreError> {
        let files = Arc::new(files);
        let recent = Arc::new(Recent::new(revision));
        let gate = Arc::new(Gate::default());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&files), Arc::clone(&recent), Arc::clone(&gate), disk, revision);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(waiting));
        let thread = thread.map_err(|source| files.io("starting the writer", source))?;
        Ok(Self {
            files,
            recent,
            gate,
            queue: Some(queue),
            writer: Some(thread),
        })
    }

    /// Returns records under a prefix behind a key, at most so many.
    fn read(&self, prefix: Prefix, behind: Option<Key>, limit: usize) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        let (files, recent, gate) = (Arc::clone(&self.files), Arc::clone(&self.recent), Arc::clone(&self.gate));
        let read = move || {
            gate.read(|| {
                Ok(Snapshot {
                    revision: recent.revision(),
                    items: files.items(prefix, behind.as_ref(), limit)?,
                })
            })
        };
        // A million records take a second: not on a thread that serves others.
        Box::pin(async move { tokio::task::spawn_blocking(read).await.unwrap_or(Err(StoreError::Stopped)) })
    }

    async fn submit(&self, commit: Commit) -> Result<Revision, CommitError> {
        commit.check_size()?;
        let (answer, performed) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.send(Waiting { commit, answer }).await.map_err(|_| StoreError::Stopped)?;
        performed.await.map_err(|_| StoreError::Stopped)?
    }
}

impl Store for SledStore {
    fn snapshot(&self, prefix: Prefix) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.read(prefix, None, usize::MAX)
    }

    fn page(&self, prefix: Prefix, behind: Option<Key>) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.read(prefix, behind, PAGE)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        Box::pin(self.submit(commit))
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<WatchStream, StoreError>> {
        Box::pin(std::future::ready(Ok(self.recent.watch(after))))
    }

    fn revision(&self) -> Revision {
        self.recent.revision()
    }
}

impl Drop for SledStore {
    /// Lets the writer finish what waits, so that the files are closed when this returns.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer ended the process, or was answered by the replaced handler.
            let _ = writer.join();
        }
    }
}

impl Gate {
    fn read<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let phase = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match *phase {
            Phase::Running => read(),
            Phase::Stopped => Err(StoreError::Stopped),
        }
    }

    /// Runs the writer's work alone; an error stops the store for good.
    fn write<T, E>(&self, write: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut phase = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Stopped until it is done, so that a panic inside leaves it so.
        *phase = Phase::Stopped;
        let done = write()?;
        *phase = Phase::Running;
        Ok(done)
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
