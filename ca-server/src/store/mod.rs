//! The store: one small trait over an ordered key-value space, so that embedded and distributed stores are the same to everything above.
//!
//! Every commit is one atomic revision: it is on disk, whole, before it is acknowledged, and its revision appears together with what it wrote.
//! Callers see domain types ([`Key`], [`Commit`]), never trees; secrets are sealed before they come here. Certificates that were issued are not
//! in the store: they are in the [journal](crate::journal).
//!
//! ```no_run
//! # async fn example(store: &dyn ca_server::store::Store) -> Result<(), Box<dyn std::error::Error>> {
//! use ca_server::store::{Commit, Key, Prefix};
//! let revision = store.commit(Commit::new("settings_changed").absent(Key::meta("settings")).put(Key::meta("settings"), "v1")).await?;
//! let snapshot = store.snapshot(Prefix::META).await?;
//! assert!(snapshot.revision.counter >= revision.counter);
//! let mut watch = store.watch(snapshot.revision).await?; // every later change, without a gap
//! # Ok(()) }
//! ```

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use trust_domains::Revision;

mod commit;
#[cfg(test)]
pub(crate) mod conformance;
pub mod disk;
mod error;
mod key;
mod sled;
mod watch;

pub use commit::{Commit, Precondition, Write};
pub use error::{CommitError, StoreError};
pub use key::{InvalidRecordName, Key, Prefix, RecordName};
pub use sled::SledStore;
pub use watch::{Change, WatchEvent, WatchStream};

/// A store that is shared by every part of the server.
pub type SharedStore = Arc<dyn Store>;

/// One item as it is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// The counter of the revision that wrote it: what [`Precondition::Unmodified`] compares.
    pub modified: u64,
}

/// Everything under a prefix, as it was at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision: watch from it and nothing is missed.
    pub revision: Revision,
    /// The items, in the order of their keys.
    pub items: Vec<Item>,
}

/// An ordered key-value space with atomic commits, revisions and a gapless watch.
pub trait Store: Send + Sync {
    /// Returns everything under a prefix at one revision; only what is durable.
    ///
    /// # Errors
    /// The store cannot be read, or what was read is damaged.
    fn snapshot(&self, prefix: Prefix) -> BoxFuture<'_, Result<Snapshot, StoreError>>;

    /// Returns the records under a prefix behind a key (from the first without one), in order and at one revision; none when there are no more.
    ///
    /// How many is the backend's choice: whoever reads everything holds a part at a time. What changed between two parts comes by a watch from the
    /// revision of the first.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    fn page(&self, prefix: Prefix, behind: Option<Key>) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async move {
            let mut whole = self.snapshot(prefix).await?;
            whole.items.retain(|item| behind.as_ref().is_none_or(|behind| item.key > *behind));
            Ok(whole)
        })
    }

    /// Returns one of the few records that there is one of ([`Prefix::META`]), if it is there.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    fn meta(&self, key: Key) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            let snapshot = self.snapshot(Prefix::META).await?;
            Ok(snapshot.items.into_iter().find(|item| item.key == key))
        })
    }

    /// Performs a commit: all its preconditions hold and all its writes are on disk, or nothing happened.
    ///
    /// A commit whose future is dropped may still be performed.
    ///
    /// # Errors
    /// A precondition does not hold, the disk has too little free space, the commit is too large, or the store cannot be written.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>>;

    /// Returns every change after a revision, in order and without a gap; [`WatchEvent::Resync`] first where that cannot be kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<WatchStream, StoreError>>;

    /// Returns the latest durable revision.
    fn revision(&self) -> Revision;
}
