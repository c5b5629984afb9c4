//! What this process knows of the fetches from one partner.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::Timestamp;
use trust_domains::bundle::{BundleSource, PartnerBundle};
use trust_domains::clock::Reading;
use trust_domains::federation::{FetchProblem, FetchStatus, Standing};
use trust_domains::plan::fetching::{due, interval, second_due};
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::Problem;

use super::beside::Beside;
use super::recorded::Recorded;

/// After how many intervals a bundle that nobody tried to fetch is stale.
const OVERDUE_AFTER: u32 = 2;

/// What this process knows of the fetches from one partner.
#[derive(Debug)]
pub(super) struct Partner {
    /// The commit of the relationship that this is about.
    pub(super) modified: u64,
    /// When the next fetch is due, since boot.
    pub(super) due: Duration,
    /// One is under way or waits for its turn.
    pub(super) fetching: bool,
    /// The entity tag of the last document, with the commit of the bundle that was held then: the tag says nothing of another.
    pub(super) etag: Option<(String, u64)>,
    /// The number of its last change.
    pub(super) changed: u64,
    /// How many fetches failed, one behind the other.
    pub(super) failures: u32,
    /// What of its fetches the journal has.
    pub(super) recorded: Recorded,
    /// What is known of what is fetched beside the bundle.
    pub(super) beside: Beside,
    /// Held by the one fetch that is under way.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    last_attempt: Option<Timestamp>,
    last_success: Option<Success>,
    last_error: Option<Problem>,
}

/// When a fetch succeeded.
#[derive(Debug, Clone, Copy)]
struct Success {
    wall: Timestamp,
    /// Nothing for one of an earlier process.
    since_boot: Option<Duration>,
}

impl Partner {
    /// A partner of whom this process has fetched nothing, first due at `due`; `last_success` is what an earlier one remembered.
    pub(super) fn new(modified: u64, due: Duration, last_success: Option<Timestamp>) -> Self {
        Self {
            modified,
            due,
            fetching: false,
            etag: None,
            changed: 0,
            failures: 0,
            recorded: Recorded::default(),
            beside: Beside::default(),
            turn: Arc::default(),
            last_attempt: None,
            last_success: last_success.map(|wall| Success { wall, since_boot: None }),
            last_error: None,
        }
    }

    /// Goes on with a relationship that was changed: it is due at once, and what was known of the endpoint counts no longer.
    pub(super) fn change(&mut self, modified: u64, now: Reading) {
        self.modified = modified;
        self.due = now.since_boot;
        self.etag = None;
        self.failures = 0;
        self.last_error = None;
        self.beside = Beside::default();
    }

    /// Goes on with a relationship that was accepted together with its bundle.
    pub(super) fn accept(&mut self, modified: u64, now: Reading, hint: Option<Duration>, jitter: Jitter) {
        self.change(modified, now);
        self.settle(now, None, hint, jitter);
        self.recorded.note_taken(now);
    }

    /// Notes how a fetch ended that was the last: nothing for a success.
    pub(super) fn settle(&mut self, now: Reading, failed: Option<Problem>, hint: Option<Duration>, jitter: Jitter) {
        self.due = match self.last_attempt.replace(now.wall) {
            None => second_due(now.since_boot, hint, jitter),
            Some(_) => due(now.since_boot, Some(now.since_boot), hint, jitter),
        };
        match failed {
            Some(problem) => {
                self.failures = self.failures.saturating_add(1);
                self.last_error = Some(problem);
                self.etag = None;
            }
            None => {
                self.failures = 0;
                self.last_error = None;
                self.last_success = Some(Success {
                    wall: now.wall,
                    since_boot: Some(now.since_boot),
                });
            }
        }
    }

    /// Returns when a fetch last succeeded.
    pub(super) fn last_success(&self) -> Option<Timestamp> {
        self.last_success.map(|success| success.wall)
    }

    /// Returns why the last fetch failed.
    pub(super) const fn last_error(&self) -> Option<&Problem> {
        self.last_error.as_ref()
    }

    /// Returns whether the last fetch succeeded: such a partner does not wait behind those that hang.
    pub(super) fn is_proven(&self) -> bool {
        self.failures == 0 && self.last_success.is_some()
    }

    /// Returns how long ago the last success was; nothing where there was none.
    pub(super) fn age(&self, now: Reading) -> Option<Duration> {
        self.last_success.map(|success| match success.since_boot {
            Some(at) => now.since_boot.saturating_sub(at),
            None => success.wall.duration_until(now.wall),
        })
    }

    /// Returns how it stands, with the bundle that is held.
    pub(super) fn status(&self, now: Reading, held: Option<&PartnerBundle>) -> FetchStatus {
        let hint = held.and_then(|held| held.bundle().refresh_hint());
        // A success that a crash took from memory brought the bundle that is held, at the latest.
        let taken = held.filter(|held| held.source() == BundleSource::Federation).map(PartnerBundle::set_at);
        let age = self.age(now).or_else(|| taken.map(|at| at.duration_until(now.wall)));
        let standing = match (&self.last_error, age) {
            (Some(problem), _) => Standing::Failed(problem.code()),
            (None, None) => Standing::Never,
            (None, Some(age)) => Standing::Fetched {
                overdue: age >= OVERDUE_AFTER * interval(hint),
                empty: held.is_some_and(|held| held.bundle().is_empty()),
            },
        };
        FetchStatus {
            status: standing.into(),
            last_success: self.last_success().or(taken),
            last_attempt: self.last_attempt,
            next_fetch: Some(now.wall + self.due.saturating_sub(now.since_boot)),
            last_error: self.last_error.as_ref().map(FetchProblem::from),
            sequence: held.and_then(|held| held.bundle().sequence()),
        }
    }
}
