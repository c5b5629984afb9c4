//! A group: waiting commits that are judged in order and written together as one batch.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sled::Batch;
use trust_domains::Revision;

use super::files::Files;
use super::layout::{self, HEAD_KEY, Head};
use crate::store::{Change, Commit, CommitError, Key, StoreError, Write};

/// Commits that are accepted but not yet written. Later ones see what earlier ones will have written.
#[derive(Debug)]
pub(super) struct Group<'a> {
    files: &'a Files,
    revision: Revision,
    batch: Batch,
    /// Records that the group changes, as they will be; `None` is taken away.
    pending: HashMap<Key, Option<Head>>,
    changes: Vec<Arc<[Change]>>,
}

impl<'a> Group<'a> {
    /// Begins a group whose first commit follows this revision.
    pub(super) fn new(files: &'a Files, after: Revision) -> Self {
        Self {
            files,
            revision: after,
            batch: Batch::default(),
            pending: HashMap::new(),
            changes: Vec::new(),
        }
    }

    /// Judges a commit and takes its writes into the group; returns the revision that it will have. A refused commit leaves no trace.
    pub(super) fn add(&mut self, commit: Commit) -> Result<Revision, CommitError> {
        for precondition in &commit.preconditions {
            let modified = self.head(precondition.key())?.map(|head| head.modified);
            if !precondition.holds(modified) {
                return Err(CommitError::Conflict {
                    key: precondition.key().clone(),
                });
            }
        }
        let writes = last_of_each_key(commit.writes);
        // Read before the first is taken in: a failing read must not leave half of the commit in the group.
        let heads = writes.iter().map(|write| self.head(write.key())).collect::<Result<Vec<_>, _>>()?;
        self.revision.counter += 1;
        let changes = writes.into_iter().zip(heads).map(|(write, old)| self.write(write, old)).collect();
        self.changes.push(changes);
        Ok(self.revision)
    }

    /// Returns the batch, which holds the new revision, and the changes of each commit.
    pub(super) fn finish(mut self) -> Finished {
        self.batch.insert(HEAD_KEY, layout::encode_revision(self.revision));
        Finished {
            revision: self.revision,
            batch: self.batch,
            changes: self.changes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn head(&self, key: &Key) -> Result<Option<Head>, StoreError> {
        match self.pending.get(key) {
            Some(head) => Ok(*head),
            None => self.files.head(key),
        }
    }

    fn write(&mut self, write: Write, old: Option<Head>) -> Change {
        let (key, value) = match write {
            Write::Delete(key) => (key, None),
            Write::Put(key, value) => (key, Some(value)),
        };
        let new = value.as_ref().map(|value| Head {
            modified: self.revision.counter,
            length: length(value),
        });
        if let Some(old) = old {
            self.remove_pieces(&key, old, new);
        }
        if let (Some(head), Some(value)) = (new, &value) {
            for (stored_key, stored) in layout::split(&key, head, value) {
                self.batch.insert(stored_key, stored);
            }
        }
        self.pending.insert(key.clone(), new);
        Change { key, value }
    }

    /// Takes away the pieces of the old value that the new one will not overwrite.
    fn remove_pieces(&mut self, key: &Key, old: Head, new: Option<Head>) {
        let kept = new.map_or(0, |new| *new.further_pieces().end());
        for piece in old.further_pieces().filter(|piece| *piece > kept) {
            self.batch.remove(layout::piece_key(key, piece));
        }
        if new.is_none() {
            self.batch.remove(key.as_str());
        }
    }
}

/// A group that is ready to be written.
#[derive(Debug)]
pub(super) struct Finished {
    /// The revision of its last commit.
    pub(super) revision: Revision,
    pub(super) batch: Batch,
    pub(super) changes: Vec<Arc<[Change]>>,
}

/// Of several writes to one key the last counts; the order of the keys stays.
fn last_of_each_key(writes: Vec<Write>) -> Vec<Write> {
    let last: HashMap<Key, usize> = writes.iter().enumerate().map(|(at, write)| (write.key().clone(), at)).collect();
    if last.len() == writes.len() {
        return writes;
    }
    writes
        .into_iter()
        .enumerate()
        .filter(|(at, write)| last.get(write.key()) == Some(at))
        .map(|(_, write)| write)
        .collect()
}

/// The length of a value; a commit's size limit keeps it far below 4 GiB.
fn length(value: &Bytes) -> u32 {
    u32::try_from(value.len()).unwrap_or(u32::MAX)
}
