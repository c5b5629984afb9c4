//! The cache itself: which tokens are held, wanted and waited for.
//!
//! It waits for nobody and asks nobody: each method takes what happened and the clock's reading.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{Jitter, RotationAction, RotationPolicy, next_due, plan, retry_delay};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::{MAX_ISSUE_BATCH, NodeEntry};
use trust_domains::{EntryId, Revision};

use super::audience::Audience;
use super::bounds::octets;
use super::held::{Held, Order, TokenKey};
use super::slot::{Answer, Signer, Slot};
use super::token::{JwtSvid, Unobtained};
use super::uses::Uses;
use crate::issuing;

/// The most tokens that are waited for: more than the server answers in a second would only wait longer.
pub(super) const MAX_WANTED: usize = 4_096;

/// The most octets of audiences in one batch: well below what the server reads of a request.
const MAX_BATCH_OCTETS: usize = 128 * 1024;

/// How often at most all tokens are looked through for what is due: their renewal needs no finer time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often at least they are: a step of the wall clock is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The life by which retries are paced while none is known: that of a token unless an entry says otherwise.
const USUAL_LIFE: Duration = Duration::from_secs(300);

/// What comes of asking for a token.
#[derive(Debug)]
pub(super) enum Asked {
    /// It can be told now.
    Now(Answer),
    /// A token is being issued; this one, if any, is valid meanwhile.
    Wait(oneshot::Receiver<Answer>, Option<Arc<JwtSvid>>),
}

/// What came of an order.
pub(super) type Outcome = issuing::Outcome<Held>;

/// Tokens, and those who want them.
#[derive(Default)]
pub(super) struct State {
    pub(super) slots: HashMap<TokenKey, Slot>,
    pub(super) uses: Uses,
    pub(super) queue: VecDeque<TokenKey>,
    pub(super) octets: usize,
    /// When all tokens are looked through next, since boot.
    look_at: Option<Duration>,
    looked_at: Duration,
    /// The authorities whose tokens are being replaced.
    pub(super) tainted: Tainted,
}

impl State {
    /// Asks for a token of an entry as it is now. `reachable`: whether a fresh one may come soon.
    pub(super) fn ask(&mut self, entry: &Arc<NodeEntry>, audience: &Audience, reachable: bool, now: Reading, policy: &RotationPolicy) -> Asked {
        let key = TokenKey::new(entry.id.clone(), audience.clone());
        if self.slots.get(&key).is_some_and(|slot| slot.entry.revision != entry.revision) {
            self.drop_token(&key);
        }
        let full = self.queue.len() >= MAX_WANTED;
        let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot::new(entry.clone()));
        slot.entry = entry.clone();
        slot.used = true;
        if slot.use_number.is_some() {
            slot.use_number = Some(self.uses.note(&key, slot.use_number));
        }
        let valid = slot.valid(now).map(|held| held.svid.clone());
        match &valid {
            Some(svid) if !reachable || slot.failures > 0 || !slot.is_due(now, &key, policy) => return Asked::Now(Ok(svid.clone())),
            None if slot.failures > 0 && now.since_boot < slot.retry_at => {
                let reason = slot.last_error.clone().unwrap_or_default();
                return Asked::Now(Err(Unobtained::Refused(reason)));
            }
            _ => {}
        }
        let coming = slot.queued || slot.in_flight;
        if full && !coming {
            self.forget_unneeded(&key);
            return Asked::Now(valid.ok_or(Unobtained::Full { limit: MAX_WANTED }));
        }
        let (caller, answer) = oneshot::channel();
        slot.waiting.push(caller);
        if !coming {
            slot.queued = true;
            self.queue.push_back(key);
        }
        Asked::Wait(answer, valid)
    }

    /// Returns what is to be asked of the server now: what somebody waits for, then what the plan renews; at most a batch.
    pub(super) fn due(&mut self, now: Reading, policy: &RotationPolicy) -> Vec<Order> {
        self.look(now, policy);
        let (mut orders, mut octets) = (Vec::new(), 0);
        while orders.len() < MAX_ISSUE_BATCH
            && octets < MAX_BATCH_OCTETS
            && let Some(key) = self.queue.pop_front()
        {
            // Dropped meanwhile, or dropped and wanted anew: then it is in the queue again.
            let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.queued) else {
                continue;
            };
            slot.queued = false;
            slot.waiting.retain(|caller| !caller.is_closed());
            if slot.waiting.is_empty() && slot.held.is_none() {
                // All who wanted it went away.
                self.forget_unneeded(&key);
                continue;
            }
            slot.in_flight = true;
            octets += key.audience().octets();
            orders.push(Order {
                entry: slot.entry.clone(),
                key,
            });
        }
        orders
    }

    /// Returns when to look again, since boot; `None` for when something changes.
    pub(super) fn next_look(&self, now: Reading) -> Option<Duration> {
        let next = if self.queue.is_empty() { self.look_at } else { Some(now.since_boot) };
        next.filter(|_| !self.slots.is_empty())
    }

    /// Looks through all tokens if it is time: withdraws what ended, and queues what the plan renews and somebody used.
    fn look(&mut self, now: Reading, policy: &RotationPolicy) {
        if self.look_at.is_none_or(|at| now.since_boot < at) {
            return;
        }
        let used: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.used && slot.held.is_some())
            .map(|(key, slot)| slot.state(key))
            .collect();
        for action in plan(now, &used, policy) {
            if let RotationAction::Renew { id, .. } = action
                && let Some(slot) = self.slots.get_mut(&id)
            {
                slot.queued = true;
                self.queue.push_back(id);
            }
        }
        let ended: Vec<TokenKey> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.has_ended(now) || slot.is_old_failure(now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.drop_token(&key);
            self.forget_unneeded(&key);
        }
        self.looked_at = now.since_boot;
        let due = next_due(now, &used, policy).unwrap_or(Duration::MAX);
        self.look_at = (!self.slots.is_empty()).then(|| due.min(now.since_boot + LOOK_AGAIN).max(now.since_boot + LOOK_INTERVAL));
    }

    /// Takes the outcomes of a batch.
    pub(super) fn settle(&mut self, outcomes: Vec<(Order, Outcome)>, jitter: Jitter, now: Reading) {
        for (order, outcome) in outcomes {
            self.settle_one(order, outcome, jitter, now);
        }
        self.trim();
    }

    fn settle_one(&mut self, Order { key, entry }: Order, outcome: Outcome, jitter: Jitter, now: Reading) {
        let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.in_flight) else {
            return;
        };
        slot.in_flight = false;
        if slot.entry.revision != entry.revision {
            // The entry changed meanwhile: this is no answer to those who wait by what it is now.
            return self.want_again(key);
        }
        match outcome {
            Outcome::Issued(held) => {
                let is_tainted = self.tainted.signed_token(held.svid.token.as_str());
                self.hold(&key, held, now);
                match is_tainted {
                    true => self.put_off(&key, jitter, now),
                    false => self.withhold_tainted(),
                }
            }
            Outcome::Unreached(reason) => {
                let refusal = Unobtained::Unreached(reason.clone());
                self.fail(&key, reason, refusal, jitter, now);
            }
            Outcome::Refused(reason) => {
                let refusal = Unobtained::Refused(reason.clone());
                self.fail(&key, reason, refusal, jitter, now);
            }
        }
    }

    fn want_again(&mut self, key: TokenKey) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.waiting.is_empty() {
            self.forget_unneeded(&key);
        } else if !std::mem::replace(&mut slot.queued, true) {
            self.queue.push_back(key);
        }
    }

    fn hold(&mut self, key: &TokenKey, held: Held, now: Reading) {
        self.release(key);
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.octets += octets(key, Some(&held));
        let renew_at = held.times.renew_at();
        let svid = held.svid.clone();
        slot.used = !slot.waiting.is_empty();
        (slot.failures, slot.retry_at, slot.last_error) = (0, Duration::ZERO, None);
        (slot.held, slot.signer) = (Some(held), Signer::Good);
        slot.use_number = Some(self.uses.note(key, None));
        slot.tell(&Ok(svid));
        self.trim_entry(key.entry());
        self.look_by(renew_at, now);
    }

    /// Keeps a valid token; without one only a refusal is remembered, so that the same is not asked again at once.
    fn fail(&mut self, key: &TokenKey, reason: String, refusal: Unobtained, jitter: Jitter, now: Reading) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let life = slot.held.as_ref().map_or(USUAL_LIFE, |held| held.life);
        let answer = slot.valid(now).map(|held| held.svid.clone()).ok_or_else(|| refusal.clone());
        let forgets = slot.held.is_none() && matches!(refusal, Unobtained::Unreached(_));
        slot.tell(&answer);
        if forgets {
            return self.forget_unneeded(key);
        }
        slot.failures = slot.failures.saturating_add(1);
        let retry_at = now.since_boot.saturating_add(retry_delay(slot.failures, life, jitter));
        (slot.retry_at, slot.last_error) = (retry_at, Some(reason));
        if slot.use_number.is_none() {
            self.octets += octets(key, None);
            slot.use_number = Some(self.uses.note(key, None));
        }
        self.trim_entry(key.entry());
        self.look_by(retry_at, now);
    }

    /// Sees to it that all tokens are looked through by then.
    pub(super) fn look_by(&mut self, due: Duration, now: Reading) {
        let earliest = self.looked_at.saturating_add(LOOK_INTERVAL);
        let at = due.min(now.since_boot + LOOK_AGAIN).max(earliest);
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }

    /// Lets every attempt that failed be made again now: the server is back.
    pub(super) fn retry_now(&mut self, now: Reading) {
        for slot in self.slots.values_mut().filter(|slot| slot.failures > 0) {
            (slot.failures, slot.retry_at, slot.last_error) = (0, Duration::ZERO, None);
        }
        self.look_by(now.since_boot, now);
    }

    /// Returns the entries that tokens are held or wanted for.
    pub(super) fn entries(&self) -> HashSet<EntryId> {
        self.slots.keys().map(|key| key.entry().clone()).collect()
    }

    /// Drops everything of entries that are not in `present`, or not with this revision.
    pub(super) fn keep(&mut self, present: &HashMap<EntryId, Revision>) {
        let gone: Vec<TokenKey> = self
            .slots
            .iter()
            .filter(|(key, slot)| present.get(key.entry()) != Some(&slot.entry.revision))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.drop_token(&key);
            if let Some(mut slot) = self.slots.remove(&key) {
                slot.tell(&Err(Unobtained::EntryChanged));
            }
        }
    }

    /// Returns how many valid tokens are held.
    pub(super) fn held(&self, now: Reading) -> usize {
        self.slots.values().filter(|slot| slot.valid(now).is_some()).count()
    }
}
