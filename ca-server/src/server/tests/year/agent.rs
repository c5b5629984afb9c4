//! A node: where it is, what it was told, and its turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::node::NodeName;
use trust_domains::plan::rotation::{RotationPolicy, next_due};
use trust_domains::plan::tainted::Tainted;
use trust_domains::{EntryId, Reading, RegistrationEntry, Revision, SpiffeId, TrustBundle};

use super::chance::Chance;
use super::credential::{Slot, Svid, Token};
use super::membership::{Line, Membership};
use super::running::Running;
use crate::registry::Start;
use crate::registry::feed::FeedEvent;

/// Where an agent is, until a time since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Here,
    /// Connected, and doing nothing: a process that was stopped.
    Frozen(Duration),
    Away(Duration),
}

/// What an agent was told to trust.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) bundle: Arc<TrustBundle>,
    pub(super) tainted: Tainted,
}

/// How often something unusual happened.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) svids: usize,
    pub(super) tokens: usize,
    pub(super) node_renewals: usize,
    pub(super) renewals_after_expiry: usize,
    pub(super) rejoined: usize,
    pub(super) connections: usize,
}

/// An agent with its workloads.
pub(super) struct Agent {
    pub(super) name: NodeName,
    pub(super) id: SpiffeId,
    pub(super) whereabouts: Whereabouts,
    pub(super) clock: ManualClock,
    pub(super) trust: Trust,
    pub(super) membership: Option<Membership>,
    pub(super) line: Option<Line>,
    pub(super) entries: BTreeMap<EntryId, Arc<RegistrationEntry>>,
    pub(super) svids: BTreeMap<EntryId, Slot<Svid>>,
    pub(super) tokens: BTreeMap<EntryId, Slot<Token>>,
    pub(super) counts: Counts,
    /// What was refused last, for whoever reads a failure.
    pub(super) trouble: String,
    /// The newest revision that it was told, and the one that it acknowledged.
    pub(super) told: Option<Revision>,
    acknowledged: Option<Revision>,
    /// When something is due again, since boot, unless it is told of something before.
    pub(super) due_at: Duration,
}

impl Agent {
    pub(super) fn new(server: &Running, name: &str, clock: &ManualClock) -> Self {
        let id = format!("spiffe://example.org/troth/agent/join_token/{name}").parse().unwrap();
        Self {
            name: name.parse().unwrap(),
            id,
            whereabouts: Whereabouts::Here,
            clock: clock.clone(),
            trust: Trust {
                bundle: server.bundle(),
                tainted: Tainted::default(),
            },
            membership: None,
            line: None,
            entries: BTreeMap::new(),
            svids: BTreeMap::new(),
            tokens: BTreeMap::new(),
            counts: Counts::default(),
            trouble: String::new(),
            told: None,
            acknowledged: None,
            due_at: Duration::ZERO,
        }
    }

    pub(super) fn now(&self) -> Reading {
        self.clock.now()
    }

    pub(super) fn is_here(&self) -> bool {
        self.whereabouts == Whereabouts::Here
    }

    /// Returns whether it has a stream open, frozen or not.
    pub(super) fn is_connected(&self) -> bool {
        self.line.is_some() && !matches!(self.whereabouts, Whereabouts::Away(_))
    }

    /// Goes away: the server sees the connection end.
    pub(super) fn leave(&mut self, server: Option<&Running>, until: Duration) {
        self.whereabouts = Whereabouts::Away(until);
        self.due_at = until;
        self.hang_up(server);
    }

    pub(super) fn come_back_when_due(&mut self) {
        let now = self.now().since_boot;
        if let Whereabouts::Frozen(until) | Whereabouts::Away(until) = self.whereabouts
            && until <= now
        {
            self.whereabouts = Whereabouts::Here;
        }
    }

    /// Does everything that is due: membership, what the stream says, credentials, acknowledgement.
    pub(super) async fn turn(&mut self, server: &Running, chance: &mut Chance) {
        if !self.is_here() || self.has_nothing_to_do(server) {
            return;
        }
        self.keep_membership(server, chance).await;
        self.hear(server, chance);
        if self.is_own_svid_tainted() {
            self.keep_membership(server, chance).await;
            self.hear(server, chance);
        }
        self.replace_what_is_due(server, chance).await;
        self.acknowledge(server);
        self.due_at = self.next_due().unwrap_or_default();
    }

    /// Returns whether it was told nothing and nothing is due: most agents, at most steps.
    fn has_nothing_to_do(&self, server: &Running) -> bool {
        let is_quiet = |line: &Line| line.stream.feed.is_quiet() && !line.stream.ended.is_cancelled();
        self.now().since_boot < self.due_at
            && self.line.as_ref().is_some_and(is_quiet)
            && self.acknowledged == self.told
            && Arc::ptr_eq(&self.trust.bundle, &server.bundle())
            && self.trust.tainted.ids().eq(server.rooms.authorities.tainted().borrow().iter())
    }

    /// Returns when something is due, since boot.
    fn next_due(&self) -> Option<Duration> {
        let (now, policy, tainted) = (self.now(), RotationPolicy::default(), &self.trust.tainted);
        let svids: Vec<_> = self.svids.values().map(|slot| slot.state((), tainted)).collect();
        let tokens: Vec<_> = self.tokens.values().map(|slot| slot.state((), tainted)).collect();
        let own: Vec<_> = self.membership.iter().map(|own| own.state(tainted.holds(own.issuer()))).collect();
        let due = [next_due(now, &svids, &policy), next_due(now, &tokens, &policy), next_due(now, &own, &policy)];
        due.into_iter().flatten().min()
    }

    /// Takes what a new stream begins with.
    pub(super) fn begin(&mut self, server: &Running, start: Start) {
        self.take_trust(server);
        match start {
            Start::Snapshot { revision, entries, .. } => {
                self.entries = entries.into_iter().map(|held| (held.entry.id().clone(), held.entry)).collect();
                self.told = Some(revision);
            }
            Start::Resume { revision, changes, .. } => {
                self.take(changes.into_iter().map(|(id, held)| (id, held.map(|held| held.entry))));
                self.told = Some(revision);
            }
        }
        self.drop_what_is_gone();
    }

    fn take(&mut self, changes: impl Iterator<Item = (EntryId, Option<Arc<RegistrationEntry>>)>) {
        for (id, now) in changes {
            match now {
                Some(entry) => self.entries.insert(id, entry),
                None => self.entries.remove(&id),
            };
        }
    }

    fn drop_what_is_gone(&mut self) {
        let entries = &self.entries;
        self.svids.retain(|id, _| entries.contains_key(id));
        self.tokens.retain(|id, _| entries.contains_key(id));
    }

    /// Reads the stream as far as it goes: changes, new trust, and now and then a heartbeat.
    fn hear(&mut self, server: &Running, chance: &mut Chance) {
        let Some(stream) = self.line.as_ref().map(|line| Arc::clone(&line.stream)) else {
            return;
        };
        while let Some(event) = server.rooms.registry.next_event(&stream).now_or_never() {
            match event {
                FeedEvent::Lost => {
                    let start = server.rooms.registry.restart_stream(&self.id, &stream);
                    self.begin(server, start);
                }
                FeedEvent::Changed { counter, changes, .. } => {
                    self.take_trust(server);
                    self.take(changes.into_iter().map(|(id, held)| (id, held.map(|held| held.entry))));
                    self.drop_what_is_gone();
                    self.told = Some(server.rooms.registry.at(counter));
                }
            }
        }
        self.take_trust(server);
        if chance.one_in(3)
            && let Some(revision) = server.rooms.registry.quiet_at(&stream)
        {
            self.told = Some(revision);
        }
    }

    /// The list of what is tainted first, as the stream tells it: whoever has it has the bundle with its successor.
    fn take_trust(&mut self, server: &Running) {
        let ids: Arc<[_]> = server.rooms.authorities.tainted().borrow().clone();
        if !self.trust.tainted.ids().eq(ids.iter()) {
            self.trust.tainted = ids.iter().cloned().collect();
            self.try_again_now();
        }
        let bundle = server.bundle();
        if !Arc::ptr_eq(&bundle, &self.trust.bundle) {
            assert!(bundle.sequence() >= self.trust.bundle.sequence(), "BUN-03: a bundle's sequence went back");
            assert!(
                bundle.sequence() > self.trust.bundle.sequence() || bundle.has_same_keys(&self.trust.bundle),
                "BUN-03: another bundle of the same sequence"
            );
            self.trust.bundle = bundle;
        }
    }

    fn try_again_now(&mut self) {
        self.svids.values_mut().for_each(Slot::try_again_now);
        self.tokens.values_mut().for_each(Slot::try_again_now);
        if let Some(membership) = &mut self.membership {
            membership.try_again_now();
        }
    }

    fn is_own_svid_tainted(&self) -> bool {
        self.membership.as_ref().is_some_and(|own| self.trust.tainted.holds(own.issuer()))
    }

    /// Acknowledges what it was told, once nothing is shown that a tainted authority signed.
    fn acknowledge(&mut self, server: &Running) {
        let tainted = &self.trust.tainted;
        let shows_tainted =
            self.is_own_svid_tainted() || self.svids.values().any(|slot| slot.is_tainted(tainted)) || self.tokens.values().any(|slot| slot.is_tainted(tainted));
        if let (Some(told), Some(_), false) = (self.told, &self.line, shows_tainted)
            && self.acknowledged != Some(told)
        {
            assert!(server.rooms.registry.revision().includes(told), "told of a commit that is not there");
            server.rooms.registry.presence().acknowledge(&self.id, told.counter);
            self.acknowledged = Some(told);
        }
    }

    /// Forgets what it acknowledged to a server that is no more.
    pub(super) fn forget_acknowledgement(&mut self) {
        self.acknowledged = None;
    }
}
