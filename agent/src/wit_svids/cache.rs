//! The handle that everybody else has of the cache: follow a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use trust_domains::EntryId;
use trust_domains::clock::{Clock, Reading, SharedClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::NodeEntry;

use super::followed::{Followed, Look};
use super::held::Order;
use super::state::{Outcome, State};
use crate::issuing::Due;
use crate::svids::{Replacer, SvidCache};

/// The WIT-SVIDs of this node's workloads. A clone is the same cache.
#[derive(Clone)]
pub struct WitCache {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: SharedClock,
    /// Rung when a token may have to be issued.
    work: Notify,
}

impl WitCache {
    /// Returns an empty cache.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            clock,
            work: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Follows the token of an entry, and has one issued if there is none. Whether the caller is entitled to the entry is the caller's to know.
    #[must_use]
    pub fn follow(&self, entry: &Arc<NodeEntry>) -> Followed {
        let ticket = self.read(|state, _| state.follow(entry));
        if ticket.asks {
            self.shared.work.notify_one();
        }
        Followed::new(self.clone(), entry.id.clone(), ticket.slot, ticket.bell)
    }

    /// Returns how many valid tokens are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.read(|state, now| state.held(now))
    }

    pub(super) fn look(&self, entry: &EntryId, slot: u64) -> Look {
        self.read(|state, now| state.look(entry, slot, now))
    }

    pub(super) fn leave(&self, entry: &EntryId, slot: u64) {
        self.read(|state, now| state.leave(entry, slot, now));
    }

    /// Waits until a token may have to be issued.
    pub(crate) async fn work(&self) {
        self.shared.work.notified().await;
    }

    /// Withdraws what ended, and returns what is to be issued now.
    pub(super) fn due(&self, policy: &RotationPolicy) -> Due<Order> {
        self.read(|state, now| state.due(now, policy))
    }

    /// Takes the outcomes of a batch.
    pub(super) fn settle(&self, outcomes: Vec<(Order, Outcome)>, jitter: Jitter) {
        self.read(|state, now| state.settle(outcomes, jitter, now));
    }

    /// Lets every attempt that failed be made again: the server is back.
    pub(super) fn retry_now(&self) {
        self.read(|state, _| state.retry_now());
        self.shared.work.notify_one();
    }

    /// Takes this node's entries as they are now: the token of one that is gone is dropped, and that of one that changed is replaced.
    pub(crate) fn take_entries(&self, entries: &SvidCache) {
        let ours = self.read(|state, _| state.entries());
        if ours.is_empty() {
            return;
        }
        let present: HashMap<_, _> = ours.into_iter().filter_map(|id| entries.entry(&id).map(|entry| (id, entry))).collect();
        self.read(|state, _| state.keep(&present));
        self.shared.work.notify_one();
    }

    /// Takes the list of authorities whose tokens are to be replaced.
    pub(crate) fn taint(&self, tainted: Tainted) {
        self.read(|state, _| state.taint(tainted));
        self.shared.work.notify_one();
    }

    /// Tells once no token of a tainted key is shown any more.
    pub(super) fn tell_replaced(&self, replacer: &Replacer) {
        if let Some(done) = self.read(|state, _| state.replaced()) {
            replacer.replaced(&done);
        }
    }

    /// Holds the lock for a short, never waiting, look or change.
    fn read<T>(&self, act: impl FnOnce(&mut State, Reading) -> T) -> T {
        let now = self.shared.clock.now();
        act(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}
