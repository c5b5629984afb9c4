//! The handle that everybody else has of the cache: subscribe, look, report.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use trust_domains::clock::{Clock, Reading, SharedClock};
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision, SelectorSet, SpiffeId, TrustBundle, TrustDomain};

use super::saved::Restored;
use super::state::{Due, Outcome, State, Update};
use super::subscription::{Subscription, ViewKey};
use super::view::{IssuedSvid, WantedFacts};

/// What the agent holds for its workloads: entries, SVIDs and the trust bundle.
///
/// A clone is the same cache. Nothing here waits for the server except a [`Subscription`].
#[derive(Clone)]
pub struct SvidCache {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: SharedClock,
    /// Rung when an SVID may have to be issued.
    work: Notify,
    /// Counts changes that the sealed cache lacks.
    changes: watch::Sender<u64>,
    acknowledgeable: watch::Sender<Option<Revision>>,
}

/// An entry and the SVID held for it, for whoever explains or reports.
#[derive(Debug, Clone)]
pub struct EntryReport {
    /// The entry.
    pub entry: Arc<NodeEntry>,
    /// The valid SVID, if one is held.
    pub svid: Option<Arc<IssuedSvid>>,
    /// Why the last attempt to issue failed, if it did.
    pub last_error: Option<String>,
}

impl SvidCache {
    /// Returns an empty cache that has heard nothing yet.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let shared = Shared {
            state: Mutex::new(State::new()),
            clock,
            work: Notify::new(),
            changes: watch::Sender::new(0),
            acknowledgeable: watch::Sender::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Subscribes to what a process with these proven selectors is entitled to.
    #[must_use]
    pub fn subscribe(&self, selectors: SelectorSet) -> Subscription {
        self.open(ViewKey::Proven(selectors))
    }

    /// Subscribes to every entry of this node with this SPIFFE ID: a sink.
    #[must_use]
    pub fn subscribe_identity(&self, spiffe_id: &SpiffeId) -> Subscription {
        self.open(ViewKey::Identity(spiffe_id.clone()))
    }

    fn open(&self, key: ViewKey) -> Subscription {
        let now = self.now();
        let (publication, issues) = self.read(|state| state.subscribe(&key, now));
        if issues {
            self.shared.work.notify_one();
        }
        Subscription::new(self.clone(), key, publication)
    }

    pub(super) fn release(&self, key: &ViewKey) {
        self.read(|state| state.release(key));
    }

    /// Makes acknowledgements wait for a sink of this identity, until the ticket is dropped.
    #[must_use]
    pub fn register_sink(&self, spiffe_id: &SpiffeId) -> SinkTicket {
        let number = self.read(|state| state.settlement.register(spiffe_id.clone()));
        SinkTicket { cache: self.clone(), number }
    }

    /// Returns the trust bundle as it changes; `None` until the first is known.
    #[must_use]
    pub fn bundle(&self) -> watch::Receiver<Option<Arc<TrustBundle>>> {
        self.read(|state| state.bundle_sender.subscribe())
    }

    /// Returns the present bundle of a trust domain: the own one, or a partner that some entry of this node federates with.
    #[must_use]
    pub fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        self.read(|state| match &state.bundle {
            Some(own) if own.trust_domain() == trust_domain => Some(Arc::clone(own)),
            _ => state.partners.get(trust_domain).cloned(),
        })
    }

    /// Returns a receiver that changes with each change of what [`SvidCache::bundle_of`] returns.
    #[must_use]
    pub fn trust(&self) -> watch::Receiver<()> {
        self.read(|state| state.trust_sender.subscribe())
    }

    /// Returns the authorities whose credentials are being replaced, as they change.
    #[must_use]
    pub(crate) fn tainted(&self) -> watch::Receiver<Tainted> {
        self.read(|state| state.tainted_sender.subscribe())
    }

    /// Returns a receiver that changes with each commit that concerns this node.
    #[must_use]
    pub fn shown(&self) -> watch::Receiver<Option<Revision>> {
        self.read(|state| state.shown_sender.subscribe())
    }

    /// Returns the entries of this node, by age, then id.
    #[must_use]
    pub fn entries(&self) -> Arc<Vec<Arc<NodeEntry>>> {
        let mut entries: Vec<_> = self.read(|state| state.slots.values().map(|slot| slot.entry.clone()).collect());
        entries.sort_by(|one: &Arc<NodeEntry>, two| (one.created_at, &one.id).cmp(&(two.created_at, &two.id)));
        Arc::new(entries)
    }

    /// Returns an entry of this node.
    #[must_use]
    pub fn entry(&self, id: &EntryId) -> Option<Arc<NodeEntry>> {
        self.read(|state| state.slots.get(id).map(|slot| slot.entry.clone()))
    }

    /// Returns how many entries this node has.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.read(|state| state.slots.len())
    }

    /// Returns which facts the entries of this node ask for.
    #[must_use]
    pub fn wanted_kinds(&self) -> Arc<WantedFacts> {
        self.read(|state| state.wanted.clone())
    }

    /// Returns the valid SVID held for an entry.
    #[must_use]
    pub fn current(&self, entry: &EntryId) -> Option<Arc<IssuedSvid>> {
        self.report(entry)?.svid
    }

    /// Returns what is held for an entry of this node.
    #[must_use]
    pub fn report(&self, entry: &EntryId) -> Option<EntryReport> {
        let now = self.now();
        self.read(|state| {
            let slot = state.slots.get(entry)?;
            Some(EntryReport {
                entry: slot.entry.clone(),
                svid: slot.servable(now).filter(|_| state.term.ended(now).is_none()).cloned(),
                last_error: slot.last_error.clone(),
            })
        })
    }

    /// Returns how many valid SVIDs are held.
    #[must_use]
    pub fn svid_count(&self) -> usize {
        let now = self.now();
        self.read(|state| {
            let kept = state.kept.iter().filter(|_| state.term.ended(now).is_none());
            kept.filter_map(|id| state.slots.get(id)).filter(|slot| slot.servable(now).is_some()).count()
        })
    }

    /// Returns how many subscriptions are open, those of sinks too.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.read(|state| state.subscribers())
    }

    /// Returns the commit to resume the sync stream after; `None` where only a snapshot tells everything.
    pub(crate) fn resume_after(&self) -> Option<Revision> {
        self.read(|state| state.shown.filter(|_| !state.incomplete && state.lists.are_the_servers()))
    }

    /// Returns the newest commit that may be acknowledged, as it changes.
    pub(crate) fn acknowledgeable(&self) -> watch::Receiver<Option<Revision>> {
        self.shared.acknowledgeable.subscribe()
    }

    /// Looks again whether a commit may be acknowledged: a sink that is too late no longer holds it back.
    pub(crate) fn review_acknowledgement(&self) {
        self.change(|_, _| {});
    }

    /// Returns a receiver that changes when the sealed cache is behind.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until an SVID may have to be issued.
    pub(crate) async fn work(&self) {
        self.shared.work.notified().await;
    }

    /// Applies what the server said.
    pub(crate) fn apply(&self, update: Update) {
        self.change(|state, now| state.apply(update, now));
        self.shared.work.notify_one();
    }

    /// Notes that nothing up to this commit concerns this node.
    pub(crate) fn advance(&self, revision: Revision) {
        self.read(|state| state.advance(revision));
    }

    /// Puts what the sealed cache had in place, as one change.
    pub(crate) fn restore(&self, restored: Restored) {
        self.change(|state, now| {
            state.apply(restored.update, now);
            state.lists.restore_epoch(restored.lists_epoch);
            state.incomplete = !restored.is_complete;
            state.restore(restored.held, now);
        });
        self.shared.work.notify_one();
    }

    /// Takes the times of the node's own SVID: nothing is served past its end.
    pub(crate) fn vouch(&self, svid: HeldCredential) {
        self.change(|state, now| state.vouch(svid, now));
        // The loop may have to look sooner than it meant to.
        self.shared.work.notify_one();
    }

    /// Withdraws what ended, and returns what is to be issued now.
    pub(crate) fn due(&self, policy: &RotationPolicy) -> Due {
        self.change(|state, now| state.due(now, policy))
    }

    /// Takes the outcomes of a batch.
    pub(crate) fn settle(&self, outcomes: Vec<(Arc<NodeEntry>, Outcome)>, jitter: Jitter) {
        self.change(|state, now| state.settle(outcomes, jitter, now));
    }

    /// Lets every attempt that failed be made again now: the server is back.
    pub(crate) fn retry_now(&self) {
        self.read(State::retry_now);
        self.shared.work.notify_one();
    }

    /// Takes back everything that was delivered: this node is no member any more. Streams end, and sinks do what they are told to do then.
    pub(crate) fn withdraw(&self, reason: &str) {
        self.change(|state, now| state.clear(Some(reason), now));
    }

    /// Forgets everything, for the node is another now: subscribers wait for its first entries.
    pub(crate) fn start_anew(&self) {
        self.change(|state, now| state.clear(None, now));
    }

    /// Changes the state, then tells those who wait for its consequences.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State, Reading) -> T) -> T {
        let now = self.now();
        let (result, changes, acknowledgeable) = self.read(|state| {
            let result = act(state, now);
            (result, state.changes, state.settlement.acknowledgeable(now.since_boot))
        });
        self.shared.changes.send_if_modified(|seen| std::mem::replace(seen, changes) != changes);
        self.shared
            .acknowledgeable
            .send_if_modified(|seen| std::mem::replace(seen, acknowledgeable) != acknowledgeable);
        result
    }

    /// Holds the lock for a short, never waiting, look or change.
    pub(super) fn read<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Reading {
        self.shared.clock.now()
    }
}

/// A sink's side of acknowledgements.
pub struct SinkTicket {
    cache: SvidCache,
    number: u64,
}

impl SinkTicket {
    /// The files (or their absence) show everything up to this commit: that of [`Subscription::revision`].
    pub fn delivered(&self, revision: Revision) {
        self.cache.change(|state, _| state.settlement.delivered(self.number, revision));
    }
}

impl Drop for SinkTicket {
    fn drop(&mut self) {
        self.cache.change(|state, _| state.settlement.deregister(self.number));
    }
}
