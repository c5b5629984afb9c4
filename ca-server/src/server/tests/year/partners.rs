//! Partner trust domains: each fetches this one's bundle in its own way, by the plan and the judgement of `trust_domains::plan::fetching`, and believes what
//! verifies by what it fetched, and nothing else.

use std::time::Duration;

use trust_domains::bundle::{BundleSource, ParsedBundle, PartnerBundle};
use trust_domains::plan::authority::REFRESHES_BEFORE_USE;
use trust_domains::plan::fetching::{Verdict, due, interval, judge};
use trust_domains::plan::rotation::Jitter;
use trust_domains::{Reading, Timestamp, TrustBundle, TrustDomain};

use super::chance::Chance;
use super::running::Running;
use super::world::DAY;

/// The refresh hint of the trust domain that is fetched: the longest that fetchers keep to.
pub(super) const HINT: Duration = DAY;

/// The most fetches in a row that fail where a partner keeps to the hint: a fifth one would be too late (FED-02).
const MOST_FAILURES: u32 = 3;

/// How a partner fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Every time that it is due.
    Keeps,
    /// Every time that it is due, but some of its fetches fail, and some are answered by what somebody kept of an earlier answer.
    KeepsThroughFailures,
    /// For some time every time; then not at all for some weeks.
    StaysAway,
}

/// What happened to a partner.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fetches {
    pub(super) taken: usize,
    pub(super) same: usize,
    pub(super) failed: usize,
    pub(super) replays_refused: usize,
    pub(super) absences: usize,
}

pub(super) struct Partner {
    pub(super) name: &'static str,
    pub(super) habit: Habit,
    pub(super) fetches: Fetches,
    /// What it believes by: the bundle of the trust domain of the year.
    held: Option<PartnerBundle>,
    /// When it last fetched with success, since boot.
    fetched_at: Duration,
    last_attempt: Option<Duration>,
    due_at: Duration,
    failures: u32,
    /// It does nothing until then, and goes away again at the second moment; since boot.
    away_until: Duration,
    leaves_at: Duration,
    /// A document that it was answered before the newest one.
    kept: Option<String>,
}

impl Partner {
    pub(super) fn new(name: &'static str, habit: Habit) -> Self {
        Self {
            name,
            habit,
            fetches: Fetches::default(),
            held: None,
            fetched_at: Duration::ZERO,
            last_attempt: None,
            due_at: Duration::ZERO,
            failures: 0,
            away_until: Duration::ZERO,
            leaves_at: DAY * 10,
            kept: None,
        }
    }

    pub(super) fn bundle(&self) -> Option<&TrustBundle> {
        self.held.as_ref().map(PartnerBundle::bundle)
    }

    /// Returns when it last fetched with success, since boot.
    pub(super) fn fetched_at(&self) -> Duration {
        self.fetched_at
    }

    /// Returns when it does something next, since boot.
    pub(super) fn due_at(&self) -> Duration {
        self.due_at.max(self.away_until)
    }

    /// Returns whether it has fetched within the time that a published key waits before it signs.
    pub(super) fn keeps_to_the_hint(&self, since_boot: Duration) -> bool {
        self.held.is_some() && since_boot.saturating_sub(self.fetched_at) < HINT * REFRESHES_BEFORE_USE
    }

    /// Fetches, if it is there and that is due.
    pub(super) fn turn(&mut self, server: &Running, now: Reading, chance: &mut Chance) {
        self.come_and_go(now.since_boot, chance);
        if now.since_boot < self.due_at() {
            return;
        }
        self.last_attempt = Some(now.since_boot);
        match self.answer(server, chance) {
            Some(document) => self.take(&document, server.bundle().trust_domain(), now),
            None => self.fail(),
        }
        let hint = self.bundle().and_then(TrustBundle::refresh_hint);
        assert!(
            hint.is_none_or(|hint| interval(Some(hint)) == HINT),
            "the hint is fetched with the bundle, and is within the bounds"
        );
        self.due_at = due(now.since_boot, self.last_attempt, hint, Jitter::new(chance.part()));
    }

    fn come_and_go(&mut self, since_boot: Duration, chance: &mut Chance) {
        if self.habit == Habit::StaysAway && self.leaves_at <= since_boot {
            self.away_until = since_boot + chance.between(DAY * 4, DAY * 40);
            self.leaves_at = self.away_until + chance.between(DAY * 2, DAY * 20);
            self.fetches.absences += 1;
        }
    }

    /// Returns what the endpoint answers, or somebody in between; nothing where the fetch fails.
    fn answer(&mut self, server: &Running, chance: &mut Chance) -> Option<String> {
        let may_fail = self.habit == Habit::KeepsThroughFailures && self.failures < MOST_FAILURES;
        if may_fail && chance.one_in(5) {
            return None;
        }
        if may_fail
            && chance.one_in(5)
            && let Some(kept) = &self.kept
        {
            return Some(kept.clone());
        }
        Some(server.bundle().to_spiffe_json())
    }

    fn take(&mut self, document: &str, of: &TrustDomain, now: Reading) {
        let fetched = ParsedBundle::parse(of, document.as_bytes()).unwrap();
        assert!(fetched.skipped.is_empty(), "{}: {:?}", self.name, fetched.skipped);
        let before = self.bundle().and_then(TrustBundle::sequence);
        match judge(self.held.as_ref(), &fetched.bundle, &[]) {
            Verdict::Take => {
                self.kept = self.bundle().map(TrustBundle::to_spiffe_json);
                self.held = Some(PartnerBundle::new(fetched.bundle, BundleSource::Federation, now.wall, self.name.to_owned()));
                self.fetches.taken += 1;
                self.succeed(now);
            }
            Verdict::Same => {
                self.fetches.same += 1;
                self.succeed(now);
            }
            Verdict::Refuse(_) => {
                self.fetches.replays_refused += 1;
                self.fail();
            }
        }
        let after = self.bundle().and_then(TrustBundle::sequence);
        assert!(after >= before, "{}: FED-05: its bundle went back from {before:?} to {after:?}", self.name);
    }

    fn succeed(&mut self, now: Reading) {
        self.fetched_at = now.since_boot;
        self.failures = 0;
    }

    fn fail(&mut self) {
        self.failures += 1;
        self.fetches.failed += 1;
    }
}

/// What a thief has of an authority whose key was copied: something that it signed, and when that was good.
pub(super) struct Stolen<T> {
    pub(super) signed: T,
    pub(super) at: Timestamp,
}
