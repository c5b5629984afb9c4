//! What the open stream of a node still has to be told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use trust_domains::EntryId;

use super::entries::HeldEntry;

/// How many changes wait for one stream: four parts of a message. A stream that is further behind gets a snapshot, which is smaller than all changes of a
/// bulk import one by one.
pub const WAITING_CHANGES: usize = 4_096;

/// The changes that wait for one stream. The registry puts in, the stream takes out.
#[derive(Debug)]
pub struct Feed {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// The newest commit that concerned the node.
    concerned: u64,
    changes: BTreeMap<EntryId, Option<HeldEntry>>,
    /// A commit waits that changed no entry, and is told all the same.
    marked: bool,
    partners: PartnerSet,
    overflowed: bool,
}

/// Whether the node is to be given other bundles of partners than before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PartnerSet {
    /// It is: one of them changed, or the node's need did.
    Changed,
    /// It has them.
    #[default]
    Same,
}

/// What a stream tells its agent next.
#[derive(Debug)]
pub enum FeedEvent {
    /// Entries of the node or the bundles of its partners changed: what entries are now, nothing where they are gone.
    Changed {
        /// The newest commit among them.
        counter: u64,
        /// Each entry once; none for a commit that concerns the node otherwise.
        changes: BTreeMap<EntryId, Option<HeldEntry>>,
        /// Whether it is given other bundles of partners; which is looked up when it is told.
        partners: PartnerSet,
    },
    /// More changed than is kept: start again with a snapshot.
    Lost,
}

impl Feed {
    /// Returns the feed of a stream that is told everything up to this commit by other means.
    #[must_use]
    pub fn after(counter: u64) -> Self {
        Self {
            waiting: Mutex::new(Waiting::after(counter)),
            wake: Notify::new(),
        }
    }

    /// Adds a change.
    pub fn push(&self, counter: u64, id: &EntryId, now: Option<&HeldEntry>, partners: PartnerSet) {
        let mut waiting = self.waiting();
        waiting.concerned = counter;
        waiting.note(partners);
        if waiting.changes.len() >= WAITING_CHANGES && !waiting.changes.contains_key(id) {
            waiting.overflow();
        }
        if !waiting.overflowed {
            waiting.changes.insert(id.clone(), now.cloned());
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Adds a commit that changed no entry of the node and concerns it all the same, as one of the authorities does: its acknowledgement is asked for.
    pub fn mark(&self, counter: u64) {
        let mut waiting = self.waiting();
        waiting.concerned = counter;
        waiting.marked = true;
        drop(waiting);
        self.wake.notify_one();
    }

    /// Says that the node is given other bundles of partners.
    pub fn push_partners(&self, counter: u64) {
        let mut waiting = self.waiting();
        waiting.concerned = counter;
        waiting.note(PartnerSet::Changed);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Says that changes were missed.
    pub fn lose(&self, counter: u64) {
        let mut waiting = self.waiting();
        waiting.concerned = counter;
        waiting.overflow();
        drop(waiting);
        self.wake.notify_one();
    }

    /// Forgets what waits: the stream is told everything up to this commit by a snapshot.
    pub fn restart(&self, counter: u64) {
        *self.waiting() = Waiting::after(counter);
    }

    /// Waits until something is to be told. Cancel safe: what was not returned waits on.
    ///
    /// What `between_commits` returns is held while it is taken out: as long as that keeps commits off, the changes of one are told together. In parts, the
    /// first would be acknowledged for the whole commit, and a stream that resumed after it would never hear of the rest.
    pub async fn next<Held>(&self, between_commits: impl Fn() -> Held) -> FeedEvent {
        loop {
            let woken = self.wake.notified();
            let event = {
                let _held = between_commits();
                self.take()
            };
            if let Some(event) = event {
                return event;
            }
            woken.await;
        }
    }

    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let waiting = self.waiting();
        waiting.changes.is_empty() && !waiting.marked && waiting.partners == PartnerSet::Same && !waiting.overflowed
    }

    /// Returns the newest commit that concerned the node.
    #[must_use]
    pub fn concerned(&self) -> u64 {
        self.waiting().concerned
    }

    fn take(&self) -> Option<FeedEvent> {
        let mut waiting = self.waiting();
        if waiting.overflowed {
            return Some(FeedEvent::Lost);
        }
        let changes = std::mem::take(&mut waiting.changes);
        let marked = std::mem::take(&mut waiting.marked);
        let partners = std::mem::take(&mut waiting.partners);
        (marked || !changes.is_empty() || partners == PartnerSet::Changed).then_some(FeedEvent::Changed {
            counter: waiting.concerned,
            changes,
            partners,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    const fn after(counter: u64) -> Self {
        Self {
            concerned: counter,
            changes: BTreeMap::new(),
            marked: false,
            partners: PartnerSet::Same,
            overflowed: false,
        }
    }

    fn note(&mut self, partners: PartnerSet) {
        if partners == PartnerSet::Changed {
            self.partners = partners;
        }
    }

    fn overflow(&mut self) {
        self.overflowed = true;
        self.changes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> EntryId {
        format!("e{number}").parse().unwrap()
    }

    #[tokio::test]
    async fn changes_of_several_commits_are_told_once_each_with_the_newest_commit() {
        let feed = Feed::after(4);
        assert!(feed.is_quiet());
        feed.push(5, &id(1), None, PartnerSet::Same);
        feed.push(6, &id(2), None, PartnerSet::Same);
        feed.push(7, &id(1), None, PartnerSet::Same);
        let FeedEvent::Changed { counter, changes, .. } = feed.next(|| ()).await else {
            panic!("not lost")
        };
        assert_eq!(counter, 7);
        assert_eq!(changes.into_keys().collect::<Vec<_>>(), [id(1), id(2)]);
        assert!(feed.is_quiet());
        assert_eq!(feed.concerned(), 7);
    }

    #[tokio::test]
    async fn a_commit_without_changes_is_told_once_or_with_the_changes_that_wait() {
        let feed = Feed::after(4);
        feed.mark(5);
        assert!(!feed.is_quiet());
        assert!(matches!(feed.next(|| ()).await, FeedEvent::Changed { counter: 5, changes, .. } if changes.is_empty()));
        assert!(feed.is_quiet());
        feed.push(6, &id(1), None, PartnerSet::Same);
        feed.mark(7);
        assert!(matches!(feed.next(|| ()).await, FeedEvent::Changed { counter: 7, changes, .. } if changes.len() == 1));
        assert!(feed.is_quiet());
    }

    #[tokio::test]
    async fn a_stream_that_is_too_far_behind_starts_again() {
        let feed = Feed::after(0);
        for number in 0..=WAITING_CHANGES {
            feed.push(1, &id(number), None, PartnerSet::Same);
        }
        feed.push(2, &id(0), None, PartnerSet::Same);
        assert!(matches!(feed.next(|| ()).await, FeedEvent::Lost));
        assert!(matches!(feed.next(|| ()).await, FeedEvent::Lost), "until it did");
        feed.restart(2);
        assert!(feed.is_quiet());
        feed.push(3, &id(0), None, PartnerSet::Same);
        assert!(matches!(feed.next(|| ()).await, FeedEvent::Changed { counter: 3, .. }));
    }

    #[tokio::test]
    async fn other_bundles_are_told_with_the_entry_that_asks_for_them_or_alone() {
        let feed = Feed::after(4);
        feed.push(5, &id(1), None, PartnerSet::Changed);
        feed.push(6, &id(2), None, PartnerSet::Same);
        assert!(matches!(
            feed.next(|| ()).await,
            FeedEvent::Changed { counter: 6, changes, partners: PartnerSet::Changed } if changes.len() == 2
        ));
        assert!(feed.is_quiet());
        feed.push_partners(7);
        assert!(!feed.is_quiet());
        assert!(matches!(
            feed.next(|| ()).await,
            FeedEvent::Changed { counter: 7, changes, partners: PartnerSet::Changed } if changes.is_empty()
        ));
        assert_eq!(feed.concerned(), 7);
        feed.push(8, &id(1), None, PartnerSet::Same);
        assert!(matches!(
            feed.next(|| ()).await,
            FeedEvent::Changed {
                partners: PartnerSet::Same,
                ..
            }
        ));
    }
}
