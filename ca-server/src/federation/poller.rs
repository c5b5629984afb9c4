//! The loop: who is due, and what an operator must look at.

use std::sync::Arc;
use std::time::Duration;

use platform::random;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trust_domains::TrustDomain;
use trust_domains::bundle::BundleSource;
use trust_domains::clock::Reading;
use trust_domains::federation::PartnerState;
use trust_domains::plan::fetching::LONGEST_INTERVAL;
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::Code;

use super::Federation;
use super::attempt::Occasion;
use super::partner::Partner;
use super::room::Partners;
use crate::registry::{self, HeldRelationship, State};

/// How often it is looked who is due: a look at two thousand partners takes microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is counted how partners stand, though nothing was heard of one: they become stale by themselves.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Within which time after a start the partners are fetched whose bundles are held: a thousand at once would compete with the nodes that come back.
const SPREAD_AT_START: Duration = Duration::from_secs(30);

/// How many failures in a row tell an operator to look, where the first may be the partner's own work in progress.
const PATIENCE: u32 = 3;

/// How many partners a problem names.
const NAMED: usize = 5;

/// The part of health that this is.
const PROBLEM: &str = "federation";

impl Federation {
    /// Fetches from partners when they are due, until shutdown.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut relationships = self.registry.relationships();
        let mut fetches = JoinSet::new();
        let mut reported = None;
        self.follow(Start::OfProcess);
        loop {
            if relationships.has_changed().unwrap_or(false) {
                relationships.mark_unchanged();
                self.follow(Start::OfRelationship);
            }
            for partner in self.take_due() {
                let room = Arc::clone(&self);
                fetches.spawn(async move { room.fetch_in_turn(Fetching { room: &room, partner }).await });
            }
            while fetches.try_join_next().is_some() {}
            self.report(&mut reported);
            self.remember_sometimes().await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = relationships.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    relationships.mark_changed();
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        // Those under way end here: what they would have brought is fetched again.
        fetches.shutdown().await;
        self.remember().await;
    }

    /// Takes in which relationships there are.
    pub(super) fn follow(&self, start: Start) {
        let now = self.clock.now();
        self.with_partners(|partners| {
            // Looked at under the lock: an older look, taken in later, would forget who was set up in between.
            let held = self.registry.view(held);
            self.seen.keep(|name| held.binary_search_by(|held| held.name.cmp(name)).is_ok());
            partners.forget_others(&held);
            for Held { name, modified, bundle } in held {
                if partners.known.get(&name).is_some_and(|known| known.modified == modified) {
                    continue;
                }
                // What another endpoint showed of ours says nothing about this one.
                self.seen.keep(|seen| *seen != name);
                let number = partners.changes.next();
                let remembered = partners.remembered.of(&name);
                let due = start.due(now, bundle != HeldBundle::None);
                let known = partners.known.entry(name).or_insert_with(|| Partner::new(modified, due, remembered));
                known.changed = number;
                match (bundle, start) {
                    // It is not fetched a second time, unless there is something beside it.
                    (HeldBundle::CameAlong { hint, has_lists }, Start::OfRelationship) => {
                        known.accept(modified, now, hint, Self::jitter());
                        if has_lists {
                            known.due = now.since_boot;
                        }
                    }
                    _ if known.modified != modified => known.change(modified, now),
                    _ => {}
                }
            }
        });
    }

    /// Returns a part of an interval, drawn at random: none where the system has no randomness.
    pub(super) fn jitter() -> Jitter {
        Jitter::new(random::fraction().unwrap_or(0.0))
    }

    /// Returns who is due, each now under way.
    fn take_due(&self) -> Vec<TrustDomain> {
        let now = self.clock.now().since_boot;
        let mut partners = self.lock();
        let due = partners.known.iter_mut().filter(|(_, known)| !known.fetching && known.due <= now);
        due.map(|(name, known)| {
            known.fetching = true;
            name.clone()
        })
        .collect()
    }

    async fn fetch_in_turn(&self, fetching: Fetching<'_>) {
        let is_proven = self.lock().known.get(&fetching.partner).is_some_and(Partner::is_proven);
        // A semaphore of this room is never closed.
        let _of_unproven = match !is_proven {
            true => Some(self.slots_of_unproven.acquire().await),
            false => None,
        };
        let _slot = self.slots.acquire().await;
        self.fetch_once(&fetching.partner, &Occasion::Due).await;
    }

    /// Counts partners by their states, and says in health where an operator must act; only after something changed, or time passed.
    fn report(&self, reported: &mut Option<(u64, Instant)>) {
        let newest = *self.newest.borrow();
        let is_fresh = |(of, at): &(u64, Instant)| at.elapsed() < if *of == newest { REPORT_EVERY } else { LOOK_EVERY };
        if reported.as_ref().is_some_and(is_fresh) {
            return;
        }
        *reported = Some((newest, Instant::now()));
        let now = self.clock.now();
        let states = self.states(now);
        self.tell_standings(now);
        for state in PartnerState::ALL {
            self.metrics.partners(state.as_str(), states.iter().filter(|(of, _)| *of == state).count());
        }
        let wanting: Vec<&String> = states.iter().filter_map(|(_, problem)| problem.as_ref()).collect();
        if wanting.is_empty() {
            self.health.clear(PROBLEM);
            return;
        }
        let named: Vec<&str> = wanting.iter().take(NAMED).map(|text| text.as_str()).collect();
        let others = match wanting.len() - named.len() {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let text = format!(
            "{}, and somebody must look: {}{others}; troth federation list",
            match wanting.len() {
                1 => "the bundle of a partner is not fetched".to_owned(),
                many => format!("the bundles of {many} partners are not fetched"),
            },
            named.join(", ")
        );
        if self.health.set_problem(PROBLEM, text) {
            tracing::warn!(partners = wanting.len(), "partners need attention");
        }
    }

    /// Tells the streams of nodes how it stands with the partners that they need.
    fn tell_standings(&self, now: Reading) {
        let bundles = self.held_bundles();
        let states: Vec<_> = {
            let partners = self.lock();
            let state = |(name, known): (&TrustDomain, &Partner)| {
                let status = known.status(now, bundles.get(name).map(|held| &**held));
                (name.clone(), status.status, status.last_error.map(|error| error.code))
            };
            partners.known.iter().map(state).collect()
        };
        self.registry.note_standings(now.wall, states);
    }

    fn states(&self, now: Reading) -> Vec<(PartnerState, Option<String>)> {
        let bundles = self.held_bundles();
        let partners = self.lock();
        let state = |(name, known): (&TrustDomain, &Partner)| {
            let status = known.status(now, bundles.get(name).map(|held| &**held));
            let problem = known.last_error().filter(|problem| wants_somebody(known, problem.code(), now));
            (status.status, problem.map(|problem| format!("{name} ({})", problem.code)))
        };
        partners.known.iter().map(state).collect()
    }
}

/// A relationship as the registry shows it.
struct Held {
    name: TrustDomain,
    /// Its commit.
    modified: u64,
    bundle: HeldBundle,
}

/// The bundle of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldBundle {
    /// It was fetched by a link, and accepted together with the relationship.
    CameAlong { hint: Option<Duration>, has_lists: bool },
    /// There is none.
    None,
    /// There is one.
    There,
}

/// Returns all relationships, by the names of the partners.
fn held(state: &State) -> Vec<Held> {
    let one = |held: &HeldRelationship| {
        let name = held.relationship.trust_domain();
        let came_along = |bundle: &registry::HeldBundle| bundle.modified == held.modified && bundle.partner.source() == BundleSource::Federation;
        Held {
            name: name.clone(),
            modified: held.modified,
            bundle: match state.partners.find(name) {
                None => HeldBundle::None,
                Some(bundle) if came_along(bundle) => HeldBundle::CameAlong {
                    hint: bundle.partner.bundle().refresh_hint(),
                    has_lists: held.relationship.crl_url().is_some(),
                },
                Some(_) => HeldBundle::There,
            },
        }
    };
    state.relationships.listed(None).map(one).collect()
}

/// Says whether an operator here must act: most failures are the partner's, and end with it.
fn wants_somebody(known: &Partner, code: Code, now: Reading) -> bool {
    match code {
        // What was configured here cannot work.
        Code::EndpointAddressRefused | Code::EndpointRedirectRefused | Code::FederationSourceMissing | Code::FileUnavailable => true,
        // Somebody answers in the partner's place, or the partner began anew: only the partner can say which.
        Code::EndpointUntrusted | Code::BundleOutdated => known.failures >= PATIENCE,
        _ => known.failures >= PATIENCE && known.age(now).is_none_or(|age| age >= LONGEST_INTERVAL),
    }
}

/// What a relationship that is new to this process starts with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// The process: what is held is good for a moment.
    OfProcess,
    /// The relationship.
    OfRelationship,
}

impl Start {
    fn due(self, now: Reading, has_bundle: bool) -> Duration {
        match self {
            Self::OfProcess if has_bundle => now.since_boot + SPREAD_AT_START.mul_f64(random::fraction().unwrap_or(0.0)),
            Self::OfProcess | Self::OfRelationship => now.since_boot,
        }
    }
}

/// A partner whose fetch is under way, until this is dropped: however it ends, the next one is not kept from starting.
struct Fetching<'a> {
    room: &'a Federation,
    partner: TrustDomain,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        if let Some(known) = self.room.lock().known.get_mut(&self.partner) {
            known.fetching = false;
        }
    }
}

impl Partners {
    /// Forgets who is no partner any more.
    fn forget_others(&mut self, held: &[Held]) {
        let gone: Vec<TrustDomain> = self
            .known
            .keys()
            .filter(|name| held.binary_search_by(|held| held.name.cmp(name)).is_err())
            .cloned()
            .collect();
        for name in gone {
            self.known.remove(&name);
            self.remembered.forget(&name);
            self.changes.delete(name);
        }
    }
}
