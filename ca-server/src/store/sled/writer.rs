//! The one thread that writes: it gathers waiting commits into a group, writes the group as one sled batch, syncs, and only then acknowledges.
//!
//! Why nothing acknowledged is lost when the power fails. sled recovers its log up to the first gap after the highest "stable" mark in any
//! segment's header, and reuses a segment once that mark has passed what replaced its pages; but its mark means *written*, not *synced*. So no
//! mark may run ahead of a sync:
//! - groups are strictly one after the other, and each begins with everything before it synced ([`Writer::settle`]);
//! - while a batch is open sled's mark cannot pass the batch's beginning, however many segments the batch fills, so that the headers written
//!   meanwhile carry a mark that was synced before;
//! - a group ends at [`SYNC_EVERY`], half a segment: between two syncs no second header is written, except inside one large commit, where the
//!   mark stands still as said.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use trust_domains::Revision;
use trust_domains::problem::with_causes;

use super::Gate;
use super::files::Files;
use super::group::{Finished, Group};
use crate::store::disk::Disk;
use crate::store::watch::Recent;
use crate::store::{Commit, CommitError, StoreError};

/// The octets of keys and values after which a group takes no further commit: half of sled's segments of 512 KiB.
const SYNC_EVERY: usize = 256 * 1024;

/// A commit and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) commit: Commit,
    pub(super) answer: Answer,
}

type Answer = oneshot::Sender<Result<Revision, CommitError>>;

/// The writing side of a store.
#[derive(Debug)]
pub(super) struct Writer {
    files: Arc<Files>,
    recent: Arc<Recent>,
    gate: Arc<Gate>,
    disk: Disk,
    revision: Revision,
}

/// A failure after which it is unknown what is on the disk.
#[derive(Debug)]
struct Broken(StoreError);

impl Writer {
    pub(super) fn new(files: Arc<Files>, recent: Arc<Recent>, gate: Arc<Gate>, disk: Disk, revision: Revision) -> Self {
        Self {
            files,
            recent,
            gate,
            disk,
            revision,
        }
    }

    /// Performs commits until no one can send any more, or until the disk fails.
    pub(super) fn run(mut self, mut waiting: Receiver<Waiting>) {
        let _panic = EndOnPanic(self.disk.clone());
        while let Some(first) = waiting.blocking_recv() {
            let outcome = self.perform(gather(first, &mut waiting));
            if let Err(Broken(error)) = outcome {
                self.disk.fatal(&format!("the store cannot be written: {}", with_causes(&error)));
                return;
            }
        }
    }

    /// Performs one group; each commit is answered.
    fn perform(&mut self, group: Vec<Waiting>) -> Result<(), Broken> {
        if let Err(refusal) = self.check_space() {
            group.into_iter().for_each(|waiting| answer(waiting.answer, Err(refusal.clone())));
            return Ok(());
        }
        let files = Arc::clone(&self.files);
        let mut accepted = Vec::with_capacity(group.len());
        let mut prepared = Group::new(&files, self.revision);
        for Waiting { commit, answer: to } in group {
            match prepared.add(commit) {
                Ok(revision) => accepted.push((to, revision)),
                Err(refusal) => answer(to, Err(refusal)),
            }
        }
        if prepared.is_empty() {
            return Ok(());
        }
        // An error drops the waiting answers: whether their commits are on the disk is known after the next start.
        self.write(prepared.finish())?;
        accepted.into_iter().for_each(|(to, revision)| answer(to, Ok(revision)));
        Ok(())
    }

    /// Writes a group, syncs it and publishes it, with every reader kept out meanwhile.
    fn write(&mut self, group: Finished) -> Result<(), Broken> {
        let Finished { revision, batch, changes } = group;
        Arc::clone(&self.gate).write(|| {
            self.settle()?;
            self.files.db().apply_batch(batch).map_err(|error| self.broken(&error))?;
            self.files.db().flush().map_err(|error| self.broken(&error))?;
            if !self.files.no_blobs()? {
                return Err(Broken(self.files.damaged("sled moved a page out of its log")));
            }
            self.sync()?;
            self.revision = revision;
            self.recent.publish(changes);
            Ok(())
        })
    }

    /// Syncs what a read may have written: sled splits and merges pages when it meets them.
    fn settle(&self) -> Result<(), Broken> {
        let written = self.files.db().flush().map_err(|error| self.broken(&error))?;
        if written > 0 { self.sync() } else { Ok(()) }
    }

    fn sync(&self) -> Result<(), Broken> {
        self.disk.sync(self.files.file()).map_err(|source| Broken(self.files.io("syncing", source)))
    }

    fn check_space(&self) -> Result<(), CommitError> {
        let space = self
            .disk
            .check_space(self.files.directory())
            .map_err(|source| self.files.io("asking for free space", source))?;
        space.map_err(|full| CommitError::DiskFull {
            free: full.free,
            reserve: full.reserve,
        })
    }

    fn broken(&self, error: &sled::Error) -> Broken {
        Broken(self.files.failed(error))
    }
}

/// Takes what waits, up to the size after which a sync is due.
fn gather(first: Waiting, waiting: &mut Receiver<Waiting>) -> Vec<Waiting> {
    let mut octets = first.commit.octets();
    let mut group = vec![first];
    while octets < SYNC_EVERY
        && let Ok(next) = waiting.try_recv()
    {
        octets += next.commit.octets();
        group.push(next);
    }
    group
}

/// Who does not wait any more is not told.
fn answer(to: Answer, outcome: Result<Revision, CommitError>) {
    let _ = to.send(outcome);
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

/// sled asserts: a panic in the writer is a failure of the store like any other.
struct EndOnPanic(Disk);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fatal("the store's writer panicked");
        }
    }
}
