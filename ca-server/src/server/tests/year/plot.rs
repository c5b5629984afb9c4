//! A store that lets others have their turn between two steps of the authorities' life, or ends the server there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use trust_domains::Revision;

use crate::store::{Commit, CommitError, Key, Prefix, SharedStore, Snapshot, Store, StoreError, WatchStream};

/// Where the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// The step is not stored.
    BeforeCommit,
    /// The step is stored, and nobody hears of it.
    AfterCommit,
}

/// What is to happen at the steps of the authorities; a new one for each start of the server.
#[derive(Default)]
pub(super) struct Plot {
    /// The steps until the server ends, and how.
    crash: Mutex<Option<(usize, Crash)>>,
    dead: AtomicBool,
    /// Who is told that a step was stored, before the authorities read it back; the step goes on when the other end says so.
    interlude: Mutex<Option<mpsc::UnboundedSender<oneshot::Sender<()>>>>,
}

impl Plot {
    /// Lets the server end after so many steps.
    pub(super) fn crash_after(&self, steps: usize, how: Crash) {
        *self.crash.lock().unwrap() = Some((steps, how));
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Has somebody told of each step, or nobody any more.
    pub(super) fn tell(&self, told: Option<mpsc::UnboundedSender<oneshot::Sender<()>>>) {
        *self.interlude.lock().unwrap() = told;
    }

    fn crash_now(&self) -> Option<Crash> {
        let mut crash = self.crash.lock().unwrap();
        match crash.take() {
            Some((0, how)) => Some(how),
            later => {
                *crash = later.map(|(steps, how)| (steps - 1, how));
                None
            }
        }
    }
}

/// The store of a server under a plot.
pub(super) struct PlottedStore {
    pub(super) store: SharedStore,
    pub(super) plot: Arc<Plot>,
}

/// Whether a commit is a step of the authorities' life.
fn is_step(commit: &Commit) -> bool {
    ["authority_", "replacement_"].iter().any(|prefix| commit.name.starts_with(prefix))
}

fn ended() -> CommitError {
    CommitError::Unavailable {
        source: Arc::new(StoreError::Stopped),
    }
}

impl PlottedStore {
    async fn step(&self, commit: Commit) -> Result<Revision, CommitError> {
        let crash = self.plot.crash_now();
        if crash == Some(Crash::BeforeCommit) {
            self.plot.dead.store(true, Ordering::SeqCst);
            return Err(ended());
        }
        let revision = self.store.commit(commit).await?;
        if crash == Some(Crash::AfterCommit) {
            self.plot.dead.store(true, Ordering::SeqCst);
            return Err(ended());
        }
        let told = self.plot.interlude.lock().unwrap().clone();
        if let Some(told) = told {
            let (go_on, over) = oneshot::channel();
            if told.send(go_on).is_ok() {
                // Whoever drops it goes on as well.
                let _ = over.await;
            }
        }
        Ok(revision)
    }
}

impl Store for PlottedStore {
    fn snapshot(&self, prefix: Prefix) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.store.snapshot(prefix)
    }

    fn page(&self, prefix: Prefix, behind: Option<Key>) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.store.page(prefix, behind)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        match (self.plot.is_dead(), is_step(&commit)) {
            (true, _) => Box::pin(std::future::ready(Err(ended()))),
            (false, true) => Box::pin(self.step(commit)),
            (false, false) => self.store.commit(commit),
        }
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<WatchStream, StoreError>> {
        self.store.watch(after)
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }
}
