//! When the hooks of a sink run, so that programs read what was delivered.
//!
//! - Sets of files are numbered as they come into place; a hook that begins reads the newest. A hook is through with a set when a run that began with it, or with a
//!   later one, succeeded.
//! - Several sets in a short time become one reload: it begins when nothing came for [`Policy::settle`], and at the latest [`Policy::longest_settle`] after the
//!   first, so that changes without end put nothing off for ever.
//! - What failed is tried again without end, after waits that double from [`Policy::first_retry`] to [`Policy::longest_retry`]; a newer set is tried when it has
//!   settled, however long the wait for the one before it. So once a hook can succeed, it does with the newest set.
//! - Revocation lists alone run a hook at most once in [`Policy::lists_interval`]; what failed is tried again all the same.
//! - Hooks have an order: one begins with a set when each before it is through with it, or was given up. One hook never runs twice at once.
//! - A hook is given up on a set when it was not through within [`Policy::patience`]: nothing waits for it any longer, people are told, and it goes on trying.
//!   Until it has succeeded again, it is given up on each further set with the first failure.
//! - The clock is that of time since boot. Should it go back nevertheless, every wait counts from where it is now: none is ever longer than it was meant to be.

mod unread;

use std::time::Duration;
pub use unread::Unread;

/// How long things wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long nothing has to come before a reload begins.
    pub settle: Duration,
    /// How long after the first change a reload begins at the latest.
    pub longest_settle: Duration,
    /// The wait after the first failure.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub longest_retry: Duration,
    /// The least time between two reloads for revocation lists alone.
    pub lists_interval: Duration,
    /// How long others wait for a hook to be through with a set.
    pub patience: Duration,
}

/// How often lists alone make programs reload, unless said.
pub const DEFAULT_LISTS_INTERVAL: Duration = Duration::from_secs(60);

impl Policy {
    /// Returns the policy of the agent, with this least time between two reloads for lists alone.
    ///
    /// - A rotation puts its parts in place within milliseconds: 100 ms after the last is soon enough for the shortest SVID (10 s), and makes one reload of them.
    /// - A process that starts writes its pid file within a second; a program that is down for a minute is found again at most a minute later.
    /// - `--wait` takes 30 s unless said: after them nobody waits any more.
    #[must_use]
    pub const fn with_lists_interval(lists_interval: Duration) -> Self {
        Self {
            settle: Duration::from_millis(100),
            longest_settle: Duration::from_secs(1),
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(60),
            lists_interval,
            patience: Duration::from_secs(30),
        }
    }
}

/// What a new set brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A key and certificate, roots, tokens, the list of a CA that had none: whatever a program has to read soon.
    Credentials,
    /// Nothing but other revocation lists of the same CAs.
    Lists,
}

/// Why a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There are new credentials.
    Credentials,
    /// There are other revocation lists, and nothing else is new.
    Lists,
    /// The last run failed.
    Retry {
        /// How many failed in a row.
        failures: u32,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing waits for this hook any longer; people are told.
    GiveUp {
        /// Which, from 0.
        hook: usize,
        /// The set.
        set: u64,
    },
    /// Run this hook now, with the newest files. It counts as running until [`Reloading::ended`].
    Run {
        /// Which, from 0.
        hook: usize,
        /// The set with which it is through when it succeeds.
        set: u64,
        /// Why.
        reason: Reason,
    },
}

/// What was delivered, and what hooks have made of it. Moments are time since boot.
#[derive(Debug, Clone)]
pub struct Reloading {
    policy: Policy,
    hooks: Vec<Hook>,
    now: Duration,
    newest: u64,
    newest_credentials: u64,
    /// The newest set that has settled.
    settled: u64,
    /// When the first set that has not settled came, and the last.
    unsettled: Option<(Duration, Duration)>,
}

/// How a hook is.
#[derive(Debug, Clone, Default)]
struct Hook {
    seen: u64,
    given_up: u64,
    is_alarmed: bool,
    failures: u32,
    /// The last run failed.
    retry: Option<Retry>,
    /// Since when it has something to do.
    owed_since: Option<Duration>,
    /// When it last began for lists alone.
    last_lists: Option<Duration>,
    running: Option<Run>,
}

/// A run that failed: when, with which set, and how long to wait after it.
#[derive(Debug, Clone, Copy)]
struct Retry {
    since: Duration,
    wait: Duration,
    set: u64,
}

/// A run that goes on: with which set, and when the one for lists alone before it was.
#[derive(Debug, Clone, Copy)]
struct Run {
    set: u64,
    last_lists: Option<Duration>,
}

impl Hook {
    /// Returns the newest set for which nothing waits for this hook.
    fn through(&self) -> u64 {
        self.seen.max(self.given_up)
    }
}

impl Reloading {
    /// Returns a plan for this many hooks; nothing was delivered yet.
    #[must_use]
    pub fn new(policy: Policy, hooks: usize) -> Self {
        Self {
            policy,
            hooks: vec![Hook::default(); hooks],
            now: Duration::ZERO,
            newest: 0,
            newest_credentials: 0,
            settled: 0,
            unsettled: None,
        }
    }

    /// Notes that a new set is in place, and returns its number.
    pub fn delivered(&mut self, now: Duration, change: Change) -> u64 {
        self.tell_time(now);
        self.newest = self.newest.saturating_add(1);
        if change == Change::Credentials {
            self.newest_credentials = self.newest;
        }
        let first = self.unsettled.map_or(self.now, |(first, _)| first);
        self.unsettled = Some((first, self.now));
        self.newest
    }

    /// Notes that the files were taken away: there is nothing to read, and so nothing to do, until the next set.
    pub fn withdrawn(&mut self) {
        self.unsettled = None;
        self.settled = self.newest;
        for hook in &mut self.hooks {
            hook.seen = self.newest;
            hook.given_up = self.newest;
            hook.retry = None;
            hook.owed_since = None;
        }
    }

    /// Returns what is to be done now, until there is nothing more.
    pub fn next(&mut self, now: Duration) -> Option<Step> {
        self.tell_time(now);
        if self.settles_at().is_some_and(|at| at <= self.now) {
            self.settled = self.newest;
            self.unsettled = None;
        }
        // The last hook first: whoever is behind with a set has its turn before another begins with the next one.
        (0..self.hooks.len()).rev().find_map(|index| self.next_of(index))
    }

    /// Returns when to look again, if nothing else happens.
    #[must_use]
    pub fn look_again(&self) -> Option<Duration> {
        let of_hooks = (0..self.hooks.len()).flat_map(|index| {
            let due = self.due(index).filter(|_| self.may_begin(index)).map(|(at, _)| at);
            let patience = self
                .hooks
                .get(index)
                .and_then(|hook| hook.owed_since)
                .map(|since| since.saturating_add(self.policy.patience));
            [due, patience]
        });
        of_hooks.chain([self.settles_at()]).flatten().min()
    }

    /// Notes how a run ended. `chance`, from 0 to 1, spreads the wait after a failure over the second half of it.
    pub fn ended(&mut self, now: Duration, hook: usize, succeeded: bool, chance: f64) {
        self.tell_time(now);
        let (now, policy) = (self.now, self.policy);
        let Some(hook) = self.hooks.get_mut(hook) else { return };
        let Some(run) = hook.running.take() else { return };
        if succeeded {
            hook.seen = hook.seen.max(run.set);
            hook.retry = None;
            hook.failures = 0;
            hook.is_alarmed = false;
            hook.owed_since = None;
            return;
        }
        // Lists that were not read did not use up their turn.
        hook.last_lists = run.last_lists;
        let step = policy
            .first_retry
            .saturating_mul(2_u32.saturating_pow(hook.failures.min(30)))
            .min(policy.longest_retry);
        hook.failures = hook.failures.saturating_add(1);
        // A set that was withdrawn meanwhile is not tried again.
        if run.set > hook.seen {
            let wait = step / 2 + (step / 2).mul_f64(if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 1.0 });
            hook.retry = Some(Retry {
                since: now,
                wait,
                set: run.set,
            });
        }
        if hook.is_alarmed {
            hook.given_up = hook.given_up.max(run.set);
            hook.owed_since = None;
        }
    }

    /// Returns the newest set that nothing waits for any more: every hook is through with it, or was given up; or it is of lists alone, and they wait for their turn.
    #[must_use]
    pub fn done(&self) -> u64 {
        let done = self.hooks.iter().map(Hook::through).min().unwrap_or(self.newest);
        let nothing_pressing = self.newest_credentials <= done && self.unsettled.is_none() && self.hooks.iter().all(|hook| hook.running.is_none());
        let waits_for_turn = |index| self.lists_wait(index).is_some_and(|at| at > self.now);
        if nothing_pressing && (0..self.hooks.len()).any(waits_for_turn) {
            self.newest
        } else {
            done
        }
    }

    /// Returns the newest set with which a hook is through.
    #[must_use]
    pub fn seen(&self, hook: usize) -> u64 {
        self.hooks.get(hook).map_or(self.newest, |hook| hook.seen)
    }

    /// Returns whether a hook was given up, and has not succeeded since.
    #[must_use]
    pub fn is_given_up(&self, hook: usize) -> bool {
        self.hooks.get(hook).is_some_and(|hook| hook.is_alarmed)
    }

    /// Returns how often a hook failed in a row.
    #[must_use]
    pub fn failures(&self, hook: usize) -> u32 {
        self.hooks.get(hook).map_or(0, |hook| hook.failures)
    }

    /// Returns when a hook is tried again after a failure, if nothing new comes.
    #[must_use]
    pub fn retry_at(&self, hook: usize) -> Option<Duration> {
        let retry = self.hooks.get(hook)?.retry?;
        Some(retry.since.saturating_add(retry.wait))
    }

    fn next_of(&mut self, index: usize) -> Option<Step> {
        let due = self.due(index).filter(|(at, _)| *at <= self.now);
        let (may_begin, target, now, patience) = (self.may_begin(index), self.target(index), self.now, self.policy.patience);
        let is_for_lists = self.lists_wait(index).is_some();
        let hook = self.hooks.get_mut(index)?;
        // It hangs, and is waited for no longer: not for what comes meanwhile either.
        if hook.is_alarmed && hook.running.is_some_and(|run| run.set <= hook.through()) {
            hook.given_up = hook.given_up.max(target);
        }
        if due.is_some() && may_begin && hook.owed_since.is_none() && target > hook.through() {
            hook.owed_since = Some(now);
        }
        if hook.owed_since.is_some_and(|since| since.saturating_add(patience) <= now) {
            let set = hook.running.map_or(target, |run| run.set);
            hook.owed_since = None;
            if set > hook.through() {
                hook.given_up = set;
                hook.is_alarmed = true;
                return Some(Step::GiveUp { hook: index, set });
            }
        }
        let (_, reason) = due.filter(|_| may_begin)?;
        let last_lists = hook.last_lists;
        if is_for_lists {
            hook.last_lists = Some(now);
        }
        hook.retry = None;
        hook.running = Some(Run { set: target, last_lists });
        Some(Step::Run {
            hook: index,
            set: target,
            reason,
        })
    }

    /// Whether nobody else is in the way: the hook itself runs, or another that is still waited for.
    fn may_begin(&self, index: usize) -> bool {
        self.hooks.iter().enumerate().all(|(other, hook)| match hook.running {
            Some(run) => other != index && run.set <= hook.through(),
            None => true,
        })
    }

    /// Returns the newest set that a hook may begin with.
    fn target(&self, index: usize) -> u64 {
        match index.checked_sub(1).and_then(|before| self.hooks.get(before)) {
            Some(before) => before.through().min(self.target(index.saturating_sub(1))),
            None => self.settled,
        }
    }

    /// Returns when a hook that does not run has something to do, and why.
    fn due(&self, index: usize) -> Option<(Duration, Reason)> {
        let hook = self.hooks.get(index)?;
        let target = self.target(index);
        if hook.running.is_some() || target <= hook.seen {
            return None;
        }
        if let Some(retry) = hook.retry
            && (retry.set >= target || retry.set >= self.newest_credentials)
        {
            let at = retry.since.saturating_add(retry.wait);
            return Some((at, Reason::Retry { failures: hook.failures }));
        }
        match self.lists_wait(index) {
            Some(at) => Some((at, Reason::Lists)),
            None => Some((self.now, Reason::Credentials)),
        }
    }

    /// Returns when lists may run a hook to which nothing else is new.
    fn lists_wait(&self, index: usize) -> Option<Duration> {
        let hook = self.hooks.get(index)?;
        if self.newest_credentials > hook.seen || self.target(index) <= hook.seen {
            return None;
        }
        Some(hook.last_lists.map_or(self.now, |last| last.saturating_add(self.policy.lists_interval)))
    }

    fn settles_at(&self) -> Option<Duration> {
        let (first, last) = self.unsettled?;
        let settled = last.saturating_add(self.policy.settle);
        Some(settled.min(first.saturating_add(self.policy.longest_settle)))
    }

    /// Takes the time; when it went back, so does every moment that is remembered.
    fn tell_time(&mut self, now: Duration) {
        if now < self.now {
            let back = |moment: &mut Duration| *moment = (*moment).min(now);
            if let Some((first, last)) = &mut self.unsettled {
                back(first);
                back(last);
            }
            for hook in &mut self.hooks {
                hook.retry.iter_mut().for_each(|retry| back(&mut retry.since));
                hook.owed_since.iter_mut().for_each(back);
                hook.last_lists.iter_mut().for_each(back);
                hook.running.iter_mut().filter_map(|run| run.last_lists.as_mut()).for_each(back);
            }
        }
        self.now = now;
    }
}

#[cfg(test)]
mod tests;
