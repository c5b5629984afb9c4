//! The command that tells the program of new files: when it runs is [`trust_domains::plan::reloading`]'s to say, with one hook.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use platform::backoff::jitter;
use platform::reload_command::{CommandError, ReloadCommand, Surroundings};
use rustix::process::Pid;
use trust_domains::delivery::Changed;
use trust_domains::plan::reloading::{self, Policy, Reloading, Step, Unread};
use trust_domains::plan::supervising::{Change, LISTS_INTERVAL};
use trust_domains::problem::{Coded as _, with_causes};

/// The plan's one hook.
const HOOK: usize = 0;

/// The same failure is said so often in a row.
const SAID: u32 = 3;

/// A command, and how long one run of it may take.
#[derive(Debug, Clone)]
pub struct ReloadBy {
    /// The command.
    pub command: ReloadCommand,
    /// How long one run may take.
    pub timeout: Duration,
}

/// The end of a run, whoever waits for it.
type Ending = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send>>;

/// Runs the command as its plan says. A run that goes on is killed, with all it started, when this value ends.
pub(super) struct Reloader {
    by: ReloadBy,
    plan: Reloading,
    unread: Unread,
    /// What changed since the plan was told of something last.
    untold: Changed,
    running: Option<(Option<Pid>, Ending)>,
}

impl Reloader {
    pub(super) fn new(by: ReloadBy) -> Self {
        Self {
            by,
            plan: Reloading::new(Policy::with_lists_interval(LISTS_INTERVAL), 1),
            unread: Unread::default(),
            untold: Changed::default(),
            running: None,
        }
    }

    /// Notes what a set in place has new. The command is told of it when it runs next, which tokens alone are no reason for.
    pub(super) fn note(&mut self, changed: &Changed) {
        self.untold.extend(changed.parts());
    }

    /// Notes that the program starts, and so reads what is in place.
    pub(super) fn program_starts(&mut self) {
        self.untold = Changed::default();
    }

    /// Has the command run soon.
    pub(super) fn ask(&mut self, now: Duration, change: Change) {
        let set = self.plan.delivered(
            now,
            match change {
                Change::Credentials => reloading::Change::Credentials,
                Change::Lists | Change::Tokens => reloading::Change::Lists,
            },
        );
        self.unread.note(set, &std::mem::take(&mut self.untold));
    }

    /// Returns how long nothing is to be begun.
    pub(super) fn quiet_for(&self, now: Duration, longest: Duration) -> Duration {
        // A millisecond at the least: the timer is no finer, and the plan's moment must be over when it is asked.
        let until = self.plan.look_again().map(|at| at.saturating_sub(now).max(Duration::from_millis(1)));
        until.map_or(longest, |until| until.min(longest))
    }

    /// Begins the run that is due, if one is; `surroundings` says what the command finds when this has changed.
    pub(super) fn begin_due(&mut self, now: Duration, surroundings: impl Fn(&Changed) -> Surroundings) {
        while let Some(step) = self.plan.next(now) {
            match step {
                Step::GiveUp { .. } => {
                    tracing::warn!(command = %self.by.command, "the reload command did not succeed yet: the program may still use what it read before; it is tried on");
                }
                Step::Run { reason, .. } => {
                    let changed = self.unread.since(self.plan.seen(HOOK));
                    tracing::debug!(command = %self.by.command, ?reason, %changed, "the reload command runs");
                    match tokio::task::block_in_place(|| self.by.command.start(&surroundings(&changed))) {
                        Ok(started) => self.running = Some((started.pid(), Box::pin(started.finish(self.by.timeout)))),
                        Err(error) => self.note_end(now, &Err(error)),
                    }
                }
            }
        }
    }

    /// Returns the process of the run that goes on, which is reaped by [`ended`](Self::ended) alone.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.running.as_ref().and_then(|(pid, _)| *pid)
    }

    /// Waits for the end of the run that goes on; for ever without one.
    pub(super) async fn ended(&mut self) -> Result<(), CommandError> {
        let ended = match &mut self.running {
            Some((_, ending)) => ending.await,
            None => std::future::pending().await,
        };
        self.running = None;
        ended
    }

    /// Notes how a run ended.
    pub(super) fn note_end(&mut self, now: Duration, ended: &Result<(), CommandError>) {
        self.plan.ended(now, HOOK, ended.is_ok(), jitter());
        let (command, failures) = (&self.by.command, self.plan.failures(HOOK));
        match ended {
            Ok(()) => tracing::info!(%command, "the reload command has run"),
            Err(error) if failures <= SAID => {
                tracing::warn!(%command, error = %with_causes(error), code = %error.code(), "the reload command failed; it is tried again");
            }
            Err(error) => tracing::debug!(%command, error = %with_causes(error), "the reload command failed again"),
        }
    }
}
