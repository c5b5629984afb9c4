//! One entry whose WIT-SVID is followed, or was lately.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trust_domains::EntryId;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::NodeEntry;

use super::followed::Look;
use super::held::Held;

/// One entry, and the token held for it.
pub(super) struct Slot {
    /// Tells it from an earlier slot of the same entry.
    pub(super) number: u64,
    pub(super) entry: Arc<NodeEntry>,
    pub(super) held: Option<Held>,
    /// The entry changed after the token was issued.
    pub(super) stale: bool,
    /// A tainted key signed the token.
    pub(super) tainted: bool,
    pub(super) followers: usize,
    /// When the last follower left, since boot.
    pub(super) left_at: Duration,
    pub(super) in_flight: bool,
    pub(super) failures: u32,
    pub(super) retry_at: Duration,
    pub(super) last_error: Option<String>,
    /// Rung when followers may see something else.
    pub(super) bell: watch::Sender<()>,
}

impl Slot {
    pub(super) fn new(number: u64, entry: Arc<NodeEntry>) -> Self {
        Self {
            number,
            entry,
            held: None,
            stale: false,
            tainted: false,
            followers: 0,
            left_at: Duration::ZERO,
            in_flight: false,
            failures: 0,
            retry_at: Duration::ZERO,
            last_error: None,
            bell: watch::Sender::new(()),
        }
    }

    /// Puts a changed entry in place: a token that shows the old one is replaced, and shown meanwhile if the identity is the same. Returns whether it changed.
    pub(super) fn change(&mut self, entry: Arc<NodeEntry>) -> bool {
        if entry.revision == self.entry.revision {
            return false;
        }
        self.stale = self.held.as_ref().is_some_and(|held| held.entry_revision != entry.revision);
        self.entry = entry;
        self.retry_now();
        self.ring();
        true
    }

    /// Returns what followers see.
    pub(super) fn look(&self, now: Reading) -> Look {
        if let Some(held) = self.servable(now) {
            return Look::Served(held.svid.clone());
        }
        let waits = self.failures > 0 && !self.in_flight && now.since_boot < self.retry_at;
        if self.demand(now) == Demand::EntryGone || waits {
            let reason = self
                .last_error
                .clone()
                .unwrap_or_else(|| "the entry that gave this identity has ended".to_owned());
            return Look::Nothing(reason);
        }
        Look::Coming
    }

    /// Returns the token to show: never one that ended, nor one of an identity that the entry no longer gives.
    pub(super) fn servable(&self, now: Reading) -> Option<&Held> {
        let held = self.held.as_ref().filter(|held| !held.times.has_ended(now))?;
        matches!(self.demand(now), Demand::Current | Demand::EntryChanged | Demand::IssuerTainted).then_some(held)
    }

    /// Returns the token as the rotation plan sees it.
    pub(super) fn state(&self, now: Reading) -> CredentialState<EntryId> {
        let attempt = match () {
            () if self.in_flight => Attempt::InFlight,
            () if self.failures > 0 => Attempt::RetryAt(self.retry_at),
            () => Attempt::Idle,
        };
        CredentialState {
            id: self.entry.id.clone(),
            demand: self.demand(now),
            held: self.held.as_ref().map(|held| held.times),
            attempt,
        }
    }

    fn demand(&self, now: Reading) -> Demand {
        if self.entry.expires_at.is_some_and(|end| end <= now.wall) {
            return Demand::EntryGone;
        }
        match &self.held {
            Some(held) if held.svid.spiffe_id != self.entry.spiffe_id => Demand::IdentityChanged,
            Some(_) if self.stale => Demand::EntryChanged,
            Some(_) if self.tainted => Demand::IssuerTainted,
            _ => Demand::Current,
        }
    }

    pub(super) fn withdraw(&mut self) {
        if let Some(held) = self.held.take()
            && self.last_error.is_none()
        {
            self.last_error = Some(format!("the WIT-SVID ended at {}", held.svid.expires_at));
        }
        (self.stale, self.tainted) = (false, false);
        self.ring();
    }

    pub(super) fn hold(&mut self, held: Held, stale: bool, tainted: &Tainted) {
        self.tainted = held.is_signed_by(tainted);
        self.held = Some(held);
        self.stale = stale;
        self.retry_now();
        self.ring();
    }

    /// Notes a failed attempt; a valid token stays.
    pub(super) fn fail(&mut self, reason: String, retry_at: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = retry_at;
        self.last_error = Some(reason);
        self.ring();
    }

    /// Starts over: the next attempt is the first.
    pub(super) fn retry_now(&mut self) {
        (self.failures, self.retry_at, self.last_error) = (0, Duration::ZERO, None);
    }

    fn ring(&self) {
        self.bell.send_replace(());
    }
}
