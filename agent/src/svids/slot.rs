//! One entry of this node and the SVID held for it.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, HeldCredential, Urgency};
use trust_domains::plan::tainted::Tainted;
use trust_domains::plan::validity::has_ended;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision};

use super::view::IssuedSvid;

/// How far before its issue an SVID begins, unless the server is told otherwise (`--clock-skew`): one that was issued further ahead than this begins later than now.
const BACKDATED: Duration = Duration::from_secs(60);

/// The end of an SVID is near in the last part of this many of its life.
const NEAR_END: u32 = 10;

/// An SVID with its times.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The SVID.
    pub(crate) svid: Arc<IssuedSvid>,
    /// The commit of the entry that it shows.
    pub(crate) entry_revision: Revision,
    /// When it is renewed and when it ends, on the agent's clocks.
    pub(crate) times: HeldCredential,
}

impl Held {
    /// Returns whether one of these authorities signed it.
    pub(super) fn is_signed_by(&self, tainted: &Tainted) -> bool {
        self.svid.chain.first().is_some_and(|leaf| tainted.signed_certificate(leaf))
    }
}

/// One entry of this node and the SVID held for it.
pub(super) struct Slot {
    pub(super) entry: Arc<NodeEntry>,
    pub(super) held: Option<Held>,
    /// The entry changed after the SVID was issued.
    pub(super) stale: bool,
    /// The SVID lived to the entry's own end.
    over: bool,
    /// A tainted authority signed the SVID.
    pub(super) tainted: bool,
    /// Whether an SVID shall be held: it is used, was used lately, or was fetched ahead.
    pub(super) kept: bool,
    /// A request for it is on its way.
    pub(super) in_flight: bool,
    /// How many views show it.
    pub(super) views: usize,
    /// Failed attempts since the last good one or the last change.
    pub(super) failures: u32,
    /// No attempt before this, since boot.
    pub(super) retry_at: Duration,
    pub(super) last_error: Option<String>,
}

impl Slot {
    pub(super) fn new(entry: Arc<NodeEntry>) -> Self {
        Self {
            entry,
            held: None,
            stale: false,
            over: false,
            tainted: false,
            kept: false,
            in_flight: false,
            views: 0,
            failures: 0,
            retry_at: Duration::ZERO,
            last_error: None,
        }
    }

    /// Puts a changed entry in place. Returns whether what its subscribers see may change.
    pub(super) fn change(&mut self, entry: Arc<NodeEntry>) -> bool {
        let changed = differs(&self.entry, &entry);
        self.entry = entry;
        if changed {
            self.over = false;
            self.stale = self
                .held
                .as_ref()
                .is_some_and(|held| held.entry_revision != self.entry.revision || held.svid.hint != self.entry.hint);
            self.retry_now();
        }
        changed
    }

    /// Returns what the entry asks of its SVID.
    pub(super) fn demand(&self, now: Reading) -> Demand {
        if self.over || self.entry.expires_at.is_some_and(|end| has_ended(end, now.wall)) {
            return Demand::EntryGone;
        }
        match &self.held {
            Some(held) if held.svid.spiffe_id != self.entry.spiffe_id => Demand::IdentityChanged,
            Some(_) if self.stale => Demand::EntryChanged,
            Some(_) if self.tainted => Demand::IssuerTainted,
            _ => Demand::Current,
        }
    }

    /// Returns the SVID as the rotation plan sees it.
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

    /// Returns the SVID to serve: never one that ended, nor one of an identity that the entry no longer gives.
    pub(super) fn servable(&self, now: Reading) -> Option<&Arc<IssuedSvid>> {
        let held = self.held.as_ref().filter(|held| !held.times.has_ended(now))?;
        matches!(self.demand(now), Demand::Current | Demand::EntryChanged | Demand::IssuerTainted).then_some(&held.svid)
    }

    /// Returns whether what is held is to be kept rather than one that begins in the future: this machine's clock or the server's is wrong, and peers whose clocks
    /// agree with this one would refuse the other. Not when an end is near or something must be replaced: then one that peers may believe is better than none.
    pub(super) fn outshines(&self, next: &Held, now: Reading) -> bool {
        let begins_later = next.svid.issued_at > now.wall + BACKDATED;
        let Some(held) = self.held.as_ref().filter(|_| begins_later && self.demand(now) == Demand::Current) else {
            return false;
        };
        let margin = Duration::from_secs(self.entry.x509_ttl_s) / NEAR_END;
        let soon = Reading {
            wall: now.wall + margin,
            since_boot: now.since_boot.saturating_add(margin),
        };
        !held.times.has_ended(soon)
    }

    /// Returns whether an SVID is on its way and no attempt has failed: a subscriber may wait for it.
    pub(super) fn is_coming(&self, now: Reading) -> bool {
        self.failures == 0 && self.servable(now).is_none()
    }

    /// Returns whether the entry's change or the state of its issuer asks for another SVID, or there is none.
    pub(super) fn is_behind(&self) -> bool {
        self.stale || self.tainted || self.held.is_none()
    }

    /// Returns how urgent its renewal is.
    pub(super) fn urgency(&self) -> Urgency {
        Urgency::new(self.views, self.held.as_ref().map(|held| held.times.ends_at()), self.tainted)
    }

    /// Notes that the entry is over if the SVID that is held was to end with it, and did. Lives are counted on the clock that nobody sets, so that may be a
    /// moment before the time of day says so.
    pub(super) fn end_with_entry(&mut self, now: Reading) {
        let Some(held) = self.held.as_ref().filter(|held| held.times.has_ended(now)) else {
            return;
        };
        self.over |= self.entry.expires_at.is_some_and(|end| held.svid.expires_at >= end);
    }

    /// Puts an SVID in place, or none.
    pub(super) fn put(&mut self, held: Option<Held>, stale: bool, tainted: &Tainted) {
        self.tainted = held.as_ref().is_some_and(|held| held.is_signed_by(tainted));
        (self.held, self.stale) = (held, stale);
    }

    /// Notes a failed attempt; a valid SVID stays.
    pub(super) fn fail(&mut self, error: String, retry_at: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = retry_at;
        self.last_error = Some(error);
    }

    /// Starts over: the next attempt is the first.
    pub(super) fn retry_now(&mut self) {
        self.failures = 0;
        self.retry_at = Duration::ZERO;
        self.last_error = None;
    }
}

/// Returns whether two versions of an entry differ in anything that its SVID shows or depends on: not the commit, nor the partners it federates with.
pub(super) fn differs(one: &NodeEntry, two: &NodeEntry) -> bool {
    one.spiffe_id != two.spiffe_id
        || one.selectors != two.selectors
        || one.class != two.class
        || one.x509_ttl_s != two.x509_ttl_s
        || one.hint != two.hint
        || one.dns_names != two.dns_names
        || one.subject_cn != two.subject_cn
        || one.created_at != two.created_at
        || one.expires_at != two.expires_at
}
