//! The cache itself: which WIT-SVIDs are held and followed.
//!
//! It waits for nobody and asks nobody: each method takes what happened and the clock's reading.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trust_domains::EntryId;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{CredentialState, Jitter, RotationAction, RotationPolicy, next_due, plan, retry_delay};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::{MAX_ISSUE_BATCH, NodeEntry};

use super::followed::Look;
use super::held::{Held, Order};
use super::slot::Slot;
use crate::issuing::{self, Due};
use crate::svids::Recency;

/// How long a token is kept that nobody follows: whoever opens a stream for each use finds the same one, and who is gone leaves no key behind for long.
pub(super) const KEPT_UNFOLLOWED: Duration = Duration::from_secs(300);

/// The most tokens that are kept although nobody follows them: about 2 MB. Those that are followed are one for each entry at most, and never dropped.
pub(super) const MAX_UNFOLLOWED: usize = 1_000;

/// The life by which retries are paced while none is known.
const USUAL_LIFE: Duration = Duration::from_secs(300);

/// What came of an order.
pub(super) type Outcome = issuing::Outcome<Held>;

/// Tokens, and those who follow them.
#[derive(Default)]
pub(super) struct State {
    slots: HashMap<EntryId, Slot>,
    unfollowed: Recency,
    /// The number of the latest slot.
    latest: u64,
    /// The authorities whose tokens are being replaced.
    tainted: Tainted,
}

/// What a follower is known by.
pub(super) struct Ticket {
    pub(super) slot: u64,
    pub(super) bell: watch::Receiver<()>,
    /// Whether the plan has to be asked: one more who follows what is followed already changes nothing.
    pub(super) asks: bool,
}

impl State {
    /// Follows the token of an entry as it is now.
    pub(super) fn follow(&mut self, entry: &Arc<NodeEntry>) -> Ticket {
        let latest = &mut self.latest;
        let slot = self.slots.entry(entry.id.clone()).or_insert_with(|| {
            *latest += 1;
            Slot::new(*latest, entry.clone())
        });
        let changed = slot.change(entry.clone());
        slot.followers += 1;
        self.unfollowed.take(&entry.id);
        Ticket {
            slot: slot.number,
            bell: slot.bell.subscribe(),
            asks: changed || slot.followers == 1,
        }
    }

    /// Follows it no longer.
    pub(super) fn leave(&mut self, entry: &EntryId, slot: u64, now: Reading) {
        let Some(slot) = self.slot(entry, slot) else { return };
        slot.followers = slot.followers.saturating_sub(1);
        if slot.followers > 0 {
            return;
        }
        slot.left_at = now.since_boot;
        self.unfollowed.put(entry);
        for id in self.unfollowed.trim(MAX_UNFOLLOWED) {
            self.slots.remove(&id);
        }
    }

    /// Returns what a follower sees.
    pub(super) fn look(&mut self, entry: &EntryId, slot: u64, now: Reading) -> Look {
        let gone = || Look::Nothing("the entry that gave this identity is gone".to_owned());
        self.slot(entry, slot).map_or_else(gone, |slot| slot.look(now))
    }

    /// Withdraws what ended, and returns what is to be issued now, at most a batch: those whose token ends first come first.
    pub(super) fn due(&mut self, now: Reading, policy: &RotationPolicy) -> Due<Order> {
        self.forget_unfollowed(now);
        let states: Vec<CredentialState<EntryId>> = self.slots.values().filter(|slot| slot.followers > 0).map(|slot| slot.state(now)).collect();
        let mut renew = Vec::new();
        for action in plan(now, &states, policy) {
            match action {
                RotationAction::Renew { id, .. } => renew.push(id),
                RotationAction::Withdraw { id, .. } => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        slot.withdraw();
                    }
                }
            }
        }
        if renew.is_empty() {
            return Due {
                issue: Vec::new(),
                next: next_due(now, &states, policy),
            };
        }
        renew.sort_by_key(|id| self.slots.get(id).and_then(|slot| slot.held.as_ref()).map(|held| held.times.ends_at()));
        renew.truncate(MAX_ISSUE_BATCH);
        Due {
            issue: renew.iter().filter_map(|id| self.begin(id)).collect(),
            next: Some(now.since_boot),
        }
    }

    fn begin(&mut self, id: &EntryId) -> Option<Order> {
        let slot = self.slots.get_mut(id)?;
        slot.in_flight = true;
        Some(Order {
            entry: slot.entry.clone(),
            slot: slot.number,
        })
    }

    /// Takes the outcomes of a batch.
    pub(super) fn settle(&mut self, outcomes: Vec<(Order, Outcome)>, jitter: Jitter, now: Reading) {
        for (order, outcome) in outcomes {
            let tainted = self.tainted.clone();
            let Some(slot) = self.slot(&order.entry.id, order.slot) else { continue };
            slot.in_flight = false;
            let life = slot.held.as_ref().map_or(USUAL_LIFE, |held| held.life);
            let retry_at = now.since_boot.saturating_add(retry_delay(slot.failures + 1, life, jitter));
            match outcome {
                Outcome::Issued(held) => {
                    // A token that shows a newer commit than the one that was asked by is no reason to ask again.
                    let changed = order.entry.revision != slot.entry.revision;
                    let stale = changed && held.entry_revision != slot.entry.revision;
                    slot.hold(held, stale, &tainted);
                    if slot.tainted {
                        // The next one may be the same: it is not asked for at once.
                        slot.fail("the server signs with a key that it calls tainted".to_owned(), retry_at);
                    }
                }
                Outcome::Unreached(reason) | Outcome::Refused(reason) => slot.fail(reason, retry_at),
            }
        }
    }

    /// Lets every attempt that failed be made again now: the server is back.
    pub(super) fn retry_now(&mut self) {
        for slot in self.slots.values_mut() {
            slot.retry_now();
        }
    }

    /// Returns the entries that tokens are held or followed for.
    pub(super) fn entries(&self) -> HashSet<EntryId> {
        self.slots.keys().cloned().collect()
    }

    /// Takes the entries as they are now; what is not there is gone, and those who follow it are told.
    pub(super) fn keep(&mut self, present: &HashMap<EntryId, Arc<NodeEntry>>) {
        let unfollowed = &mut self.unfollowed;
        self.slots.retain(|id, slot| match present.get(id) {
            Some(entry) => {
                slot.change(entry.clone());
                true
            }
            None => {
                unfollowed.take(id);
                false
            }
        });
    }

    /// Takes the list of authorities whose tokens are to be replaced. Those that are followed are due at once, and shown meanwhile; those that nobody
    /// follows are dropped: whoever comes back gets another.
    pub(super) fn taint(&mut self, tainted: Tainted) {
        if self.tainted == tainted {
            return;
        }
        self.tainted = tainted;
        let (tainted, unfollowed) = (&self.tainted, &mut self.unfollowed);
        self.slots.retain(|id, slot| {
            slot.tainted = slot.held.as_ref().is_some_and(|held| held.is_signed_by(tainted));
            let dropped = slot.tainted && slot.followers == 0;
            if dropped {
                unfollowed.take(id);
            } else if slot.tainted {
                slot.retry_now();
            }
            !dropped
        });
    }

    /// Returns the list, once no token of a tainted key is shown any more.
    pub(super) fn replaced(&self) -> Option<Tainted> {
        let shown = self.slots.values().any(|slot| slot.tainted);
        (!shown).then(|| self.tainted.clone())
    }

    /// Returns how many valid tokens are held.
    pub(super) fn held(&self, now: Reading) -> usize {
        self.slots.values().filter(|slot| slot.servable(now).is_some()).count()
    }

    /// Forgets what nobody has followed for long, or has ended since.
    fn forget_unfollowed(&mut self, now: Reading) {
        let unfollowed = &mut self.unfollowed;
        self.slots.retain(|id, slot| {
            let over = now.since_boot >= slot.left_at.saturating_add(KEPT_UNFOLLOWED) || slot.held.is_some() && slot.servable(now).is_none();
            let forgotten = slot.followers == 0 && over;
            if forgotten {
                unfollowed.take(id);
            }
            !forgotten
        });
    }

    /// Returns the slot of an entry, unless the entry went meanwhile and came back.
    fn slot(&mut self, entry: &EntryId, number: u64) -> Option<&mut Slot> {
        self.slots.get_mut(entry).filter(|slot| slot.number == number)
    }
}
