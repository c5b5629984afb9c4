//! The watch: every commit after a revision, in order and without a gap, from a bounded log of the recent ones.
//!
//! A reader that falls behind the log is told to start again from a snapshot; it never slows the writer, and nothing is dropped silently.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use trust_domains::Revision;

use super::Key;

/// One record that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: Key,
    /// Its value now; `None` where it was taken away.
    pub value: Option<Bytes>,
}

/// What a watch delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// One commit, whole.
    Changes {
        /// Its revision.
        revision: Revision,
        /// What it changed, each key once.
        changes: Vec<Change>,
    },
    /// The changes after the revision asked for are not there any more: take a snapshot and watch from it. Nothing follows.
    Resync,
}

/// The changes after a revision.
#[derive(Debug)]
pub struct WatchStream {
    epoch: u64,
    log: Arc<Mutex<Log>>,
    /// Its sender goes with the store, which ends the stream.
    head: watch::Receiver<u64>,
    position: Position,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    /// The counter of the last revision delivered.
    After(u64),
    /// `Resync` is due.
    Lost,
    /// `Resync` was delivered.
    Ended,
}

/// The recent commits of one epoch.
#[derive(Debug)]
pub(super) struct Recent {
    epoch: u64,
    log: Arc<Mutex<Log>>,
    head: watch::Sender<u64>,
}

/// Commits with consecutive counters, the newest last.
#[derive(Debug)]
struct Log {
    commits: VecDeque<Logged>,
    octets: usize,
    /// The counter of the latest commit, in the log or before it.
    newest: u64,
}

#[derive(Debug)]
struct Logged {
    changes: Arc<[Change]>,
    octets: usize,
}

/// The most commits kept for watchers. A reader in this process is behind by a handful; this is seconds of the fastest storm of commits.
const MAX_COMMITS: usize = 16_384;

/// The most octets kept for watchers: idle memory stays small, and eight of the largest batches of an import of entries fit.
const MAX_OCTETS: usize = 4 * 1024 * 1024;

/// What a change costs beside its key and value, about.
const CHANGE_OVERHEAD: usize = 64;

impl Recent {
    pub(super) fn new(at: Revision) -> Self {
        let log = Log {
            commits: VecDeque::new(),
            octets: 0,
            newest: at.counter,
        };
        Self {
            epoch: at.epoch,
            log: Arc::new(Mutex::new(log)),
            head: watch::Sender::new(at.counter),
        }
    }

    /// Returns the latest revision that was published.
    pub(super) fn revision(&self) -> Revision {
        Revision {
            epoch: self.epoch,
            counter: *self.head.borrow(),
        }
    }

    /// Adds durable commits with the next counters, and wakes the watchers.
    pub(super) fn publish(&self, commits: impl IntoIterator<Item = Arc<[Change]>>) {
        let mut log = lock(&self.log);
        for changes in commits {
            log.push(changes);
        }
        let newest = log.newest;
        drop(log);
        self.head.send_replace(newest);
    }

    pub(super) fn watch(&self, after: Revision) -> WatchStream {
        let head = self.head.subscribe();
        let known = after.epoch == self.epoch && after.counter <= *head.borrow();
        let position = if known { Position::After(after.counter) } else { Position::Lost };
        WatchStream {
            epoch: self.epoch,
            log: Arc::clone(&self.log),
            head,
            position,
        }
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    fn push(&mut self, changes: Arc<[Change]>) {
        let octets = changes
            .iter()
            .map(|change| CHANGE_OVERHEAD + change.key.as_str().len() + change.value.as_ref().map_or(0, Bytes::len))
            .sum();
        self.newest += 1;
        self.octets += octets;
        self.commits.push_back(Logged { changes, octets });
        // The newest commit stays, however large: a reader that keeps up is never sent away.
        while self.commits.len() > 1 && (self.commits.len() > MAX_COMMITS || self.octets > MAX_OCTETS) {
            self.octets -= self.commits.pop_front().map_or(0, |oldest| oldest.octets);
        }
    }

    /// Returns the commit that follows a counter: `Ok(None)` when there is none yet, an error when it is not kept any more.
    fn after(&self, counter: u64) -> Result<Option<Arc<[Change]>>, Forgotten> {
        let kept = self.commits.len() as u64;
        let oldest = self.newest - kept;
        let offset = counter.checked_sub(oldest).ok_or(Forgotten)?;
        Ok(usize::try_from(offset)
            .ok()
            .and_then(|offset| self.commits.get(offset))
            .map(|logged| Arc::clone(&logged.changes)))
    }
}

struct Forgotten;

impl WatchStream {
    /// Waits for the next event; `None` when the store has closed, or after `Resync`. Cancel safe: an event not returned is not lost.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            let after = match self.position {
                Position::After(counter) => counter,
                Position::Lost => return Some(self.resync()),
                Position::Ended => return None,
            };
            // Seen before looking: a commit published in between wakes the wait below.
            self.head.mark_unchanged();
            let next = lock(&self.log).after(after);
            match next {
                Ok(Some(changes)) => return Some(self.deliver(after + 1, &changes)),
                Ok(None) => self.head.changed().await.ok()?,
                Err(Forgotten) => return Some(self.resync()),
            }
        }
    }

    fn deliver(&mut self, counter: u64, changes: &[Change]) -> WatchEvent {
        self.position = Position::After(counter);
        WatchEvent::Changes {
            revision: Revision { epoch: self.epoch, counter },
            changes: changes.to_vec(),
        }
    }

    const fn resync(&mut self) -> WatchEvent {
        self.position = Position::Ended;
        WatchEvent::Resync
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Revision = Revision { epoch: 7, counter: 100 };

    fn commit(text: &str) -> Arc<[Change]> {
        Arc::new([Change {
            key: Key::meta("k"),
            value: Some(Bytes::copy_from_slice(text.as_bytes())),
        }])
    }

    fn after(counter: u64) -> Revision {
        Revision { epoch: 7, counter }
    }

    async fn counters(stream: &mut WatchStream, count: usize) -> Vec<u64> {
        let mut counters = Vec::new();
        for _ in 0..count {
            let Some(WatchEvent::Changes { revision, .. }) = stream.next().await else {
                panic!("expected changes")
            };
            counters.push(revision.counter);
        }
        counters
    }

    #[tokio::test]
    async fn a_watcher_sees_what_came_before_and_what_comes_after_it_began() {
        let recent = Recent::new(START);
        recent.publish([commit("a"), commit("b")]);
        let mut stream = recent.watch(after(101));
        let reader = tokio::spawn(async move { counters(&mut stream, 3).await });
        tokio::task::yield_now().await;
        recent.publish([commit("c")]);
        tokio::task::yield_now().await;
        recent.publish([commit("d")]);
        assert_eq!(reader.await.unwrap(), [102, 103, 104]);
        assert_eq!(recent.revision(), after(104));
    }

    #[tokio::test]
    async fn a_revision_of_the_past_of_the_future_or_of_another_epoch_needs_a_resync() {
        let recent = Recent::new(START);
        recent.publish([commit("a")]);
        for lost in [after(99), after(102), Revision { epoch: 8, counter: 100 }] {
            let mut stream = recent.watch(lost);
            assert_eq!(stream.next().await, Some(WatchEvent::Resync), "{lost}");
            assert_eq!(stream.next().await, None, "{lost}");
        }
    }

    #[tokio::test]
    async fn a_watcher_that_fell_behind_the_log_is_told_to_resync_and_one_at_its_edge_is_not() {
        let recent = Recent::new(START);
        recent.publish([commit("x")]);
        let (mut slow, mut edge) = (recent.watch(after(100)), recent.watch(after(101)));
        recent.publish((0..MAX_COMMITS).map(|_| commit("x")));
        assert_eq!(slow.next().await, Some(WatchEvent::Resync));
        assert_eq!(counters(&mut edge, 1).await, [102]);
    }

    #[tokio::test]
    async fn the_log_is_bounded_in_octets_and_keeps_the_newest_commit_whatever_its_size() {
        let recent = Recent::new(START);
        let large = || commit(&"x".repeat(MAX_OCTETS));
        recent.publish([commit("small"), large()]);
        assert_eq!(lock(&recent.log).commits.len(), 1);
        assert_eq!(counters(&mut recent.watch(after(101)), 1).await, [102]);
        recent.publish([commit("small")]);
        assert!(lock(&recent.log).octets < MAX_OCTETS);
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_store_after_the_last_commit() {
        let recent = Recent::new(START);
        let mut stream = recent.watch(START);
        recent.publish([commit("last")]);
        drop(recent);
        assert_eq!(counters(&mut stream, 1).await, [101]);
        assert_eq!(stream.next().await, None);
    }
}
