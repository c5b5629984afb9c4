//! The handle that everybody else has of the cache: ask for a token, and get it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use trust_domains::clock::{Clock, Reading, SharedClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::NodeEntry;

use super::audience::Audience;
use super::held::{Held, Order};
use super::slot::Answer;
use super::state::{Asked, State};
use super::token::{JwtSvid, Unobtained};
use crate::issuing::Outcomes;
use crate::svids::{Replacer, SvidCache};
use crate::sync::Link;

/// How long a caller waits for a fresh token while the one that is held is valid: the server answers within milliseconds, or something is wrong with it.
const FRESH_PATIENCE: Duration = Duration::from_millis(500);

/// The JWT-SVIDs of this node's workloads. A clone is the same cache.
#[derive(Clone)]
pub struct JwtCache {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: SharedClock,
    link: watch::Receiver<Link>,
    /// Rung when a token is to be issued.
    work: Notify,
}

impl JwtCache {
    /// Returns an empty cache; `link` tells whether the server is there.
    #[must_use]
    pub fn new(clock: SharedClock, link: watch::Receiver<Link>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            clock,
            link,
            work: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns a valid token of the entry for this audience: the one that is held, or one that is issued now. Whether the caller is entitled to the entry
    /// is the caller's to know.
    ///
    /// # Errors
    /// [`Unobtained`] when there is none.
    pub async fn fetch(&self, entry: &Arc<NodeEntry>, audience: &Audience) -> Result<Arc<JwtSvid>, Unobtained> {
        let reachable = self.shared.link.borrow().is_open();
        let asked = self.read(|state, now| state.ask(entry, audience, reachable, now, &RotationPolicy::default()));
        let answer = match asked {
            Asked::Now(answer) => answer,
            Asked::Wait(answer, held) => {
                self.shared.work.notify_one();
                wait(answer, held).await
            }
        };
        // The entry may have become another's while the caller waited.
        answer.and_then(|svid| {
            let same = svid.spiffe_id == entry.spiffe_id;
            same.then_some(svid).ok_or(Unobtained::EntryChanged)
        })
    }

    /// Returns how many valid tokens are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.read(|state, now| state.held(now))
    }

    /// Waits until a token is to be issued.
    pub(crate) async fn work(&self) {
        self.shared.work.notified().await;
    }

    /// Returns what is to be issued now.
    pub(super) fn due(&self, policy: &RotationPolicy) -> Vec<Order> {
        self.read(|state, now| state.due(now, policy))
    }

    /// Returns when to look again.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.read(|state, now| state.next_look(now))
    }

    /// Takes the outcomes of a batch.
    pub(super) fn settle(&self, outcomes: Outcomes<Order, Held>, jitter: Jitter) {
        self.read(|state, now| state.settle(outcomes, jitter, now));
    }

    /// Lets every attempt that failed be made again: the server is back.
    pub(super) fn retry_now(&self) {
        self.read(State::retry_now);
        self.shared.work.notify_one();
    }

    /// Drops the tokens of entries that this node no longer has, or has changed.
    pub(crate) fn follow(&self, entries: &SvidCache) {
        let ours = self.read(|state, _| state.entries());
        if ours.is_empty() {
            return;
        }
        let present: HashMap<_, _> = ours.into_iter().filter_map(|id| entries.entry(&id).map(|entry| (id, entry.revision))).collect();
        self.read(|state, _| state.keep(&present));
    }

    /// Takes the list of authorities whose tokens are to be replaced.
    pub(crate) fn taint(&self, tainted: Tainted) {
        self.read(|state, _| state.taint(tainted));
        self.shared.work.notify_one();
    }

    /// Tells once no token of a tainted key is given out any more.
    pub(super) fn tell_replaced(&self, replacer: &Replacer) {
        if let Some(done) = self.read(|state, _| (!state.shows_tainted()).then(|| state.tainted.clone())) {
            replacer.replaced(&done);
        }
    }

    /// Holds the lock for a short, never waiting, look or change.
    pub(super) fn read<T>(&self, act: impl FnOnce(&mut State, Reading) -> T) -> T {
        let now = self.shared.clock.now();
        act(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

/// Waits for the answer; with a valid token in hand only for a while.
async fn wait(answer: oneshot::Receiver<Answer>, held: Option<Arc<JwtSvid>>) -> Answer {
    // The sender is dropped without an answer only at the end of the process.
    let ended = || Err(Unobtained::Unreached("the agent is stopping".to_owned()));
    match held {
        None => answer.await.unwrap_or_else(|_| ended()),
        Some(held) => match tokio::time::timeout(FRESH_PATIENCE, answer).await {
            Ok(Ok(Ok(fresh))) => Ok(fresh),
            _ => Ok(held),
        },
    }
}
