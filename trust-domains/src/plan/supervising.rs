//! What is done with a supervised program, and when.
//!
//! - It starts only when credentials are in place. When none come within the wait, or a signal that ends comes first, it never starts.
//! - New credentials are told to it as the policy says: not at all, by a command, by a signal, or by a new start. New revocation lists alone are told by the
//!   signal at most once in [`LISTS_INTERVAL`], and never cost a new start. When the command runs is [`reloading`](super::reloading)'s to say.
//! - A new start asks the program to end, kills it when the grace is over, and starts it when it has ended. What is delivered meanwhile needs no other start.
//! - Every signal is passed on. After one that asks a program to end, no new start follows: the program is leaving.
//! - When the credentials end and none came in time the program goes on, or is ended as for a new start: the policy says which.
//! - When the program ends by itself, so does its supervisor, with the same code.

use std::time::Duration;

use crate::clock::Reading;
use crate::timestamp::Timestamp;

/// How often at most a signal tells of revocation lists alone: a busy day of revocations must not become a reload a second.
pub const LISTS_INTERVAL: Duration = Duration::from_secs(60);

/// What an operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long to wait for the first credentials.
    pub wait_for: Duration,
    /// What new credentials do.
    pub on_rotation: OnRotation,
    /// How long a program that is asked to end may take.
    pub grace: Duration,
    /// What the end of the credentials does.
    pub on_expiry: OnExpiry,
}

/// What new credentials do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRotation {
    /// A command is run.
    Command,
    /// Nothing: the program reads its files when it needs them.
    Nothing,
    /// A new start.
    Restart,
    /// This signal.
    Signal(i32),
}

/// What is done when the credentials end and none came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExpiry {
    /// The program goes on.
    Keep,
    /// The program is ended.
    Stop,
}

/// What a set of files has that the one before had not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A key, a certificate or a root.
    Credentials,
    /// Revocation lists alone.
    Lists,
    /// Tokens alone: programs read them at each use.
    Tokens,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Returns the code as shells give it: 128 and the signal's number after a signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(signal).unwrap_or(0x7f) | 0x80,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Files were put in place.
    Delivered {
        /// When the certificate in them ends.
        not_after: Timestamp,
        /// What is new in them.
        change: Change,
    },
    /// The program ended.
    Ended(Exit),
    /// This process was sent a signal.
    Signalled {
        /// Its number.
        signal: i32,
        /// Whether it asks a program to end: TERM, INT, QUIT.
        ends: bool,
    },
    /// Time passed.
    Tick,
}

/// What to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Asks the program's process group to end.
    AskToEnd(Because),
    /// Passes a signal on.
    Forward(i32),
    /// Kills the program's process group: the grace is over.
    Kill,
    /// Nothing is left to do.
    Leave(Outcome),
    /// Tells the program of new files, by this signal.
    Reload(i32),
    /// Says that the credentials ended and the program goes on.
    SayEnded,
    /// Has the command run that tells the program of new files.
    RunCommand(Change),
    /// Starts the program.
    Start,
}

/// Why a program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Its credentials ended.
    CredentialsEnded,
    /// It starts anew with new ones.
    Rotated,
}

/// How it all ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The credentials ended, and the program was ended.
    CredentialsEnded,
    /// A signal came before the program was started.
    Interrupted(i32),
    /// No credentials came in time.
    NeverReady,
    /// The program ended.
    Program(Exit),
}

/// A program and what is known of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervised {
    policy: Policy,
    phase: Phase,
    /// When the credentials in place end.
    ends_at: Option<Timestamp>,
    /// Whether it was said that they ended.
    is_end_said: bool,
    /// Whether the program was sent a signal that asks it to end.
    is_leaving: bool,
    /// When the program was last told of new files, and whether lists wait to be told.
    told_at: Option<Duration>,
    lists_wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { until: Duration },
    Running,
    Ending { kill_at: Option<Duration>, then: Then },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Start,
    LeaveAsProgram,
    LeaveForExpiry,
}

impl Supervised {
    /// Begins to wait for credentials.
    #[must_use]
    pub fn new(policy: Policy, now: Reading) -> Self {
        Self {
            phase: Phase::Waiting {
                until: now.since_boot.saturating_add(policy.wait_for),
            },
            policy,
            ends_at: None,
            is_end_said: false,
            is_leaving: false,
            told_at: None,
            lists_wait: false,
        }
    }

    /// Takes an event in, and returns what to do.
    pub fn take(&mut self, now: Reading, event: Event) -> Vec<Action> {
        let mut actions = match event {
            Event::Delivered { not_after, change } => self.delivered(now, not_after, change),
            Event::Ended(exit) => self.ended(exit),
            Event::Signalled { signal, ends } => self.signalled(signal, ends),
            Event::Tick => Vec::new(),
        };
        actions.extend(std::iter::from_fn(|| self.due(now)));
        actions
    }

    /// Returns how long nothing is due, unless something happens: at most `longest`.
    #[must_use]
    pub fn quiet_for(&self, now: Reading, longest: Duration) -> Duration {
        let moment = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running => self.told_at.filter(|_| self.lists_wait).map(|told| told.saturating_add(LISTS_INTERVAL)),
            Phase::Ending { kill_at, .. } => kill_at,
            Phase::Over => None,
        };
        let on_boot = moment.map_or(longest, |moment| moment.saturating_sub(now.since_boot));
        let expiry = self.ends_at.filter(|_| self.phase == Phase::Running && !self.is_end_said);
        let on_wall = expiry.map_or(longest, |end| now.wall.duration_until(end));
        longest.min(on_boot).min(on_wall)
    }

    fn delivered(&mut self, now: Reading, not_after: Timestamp, change: Change) -> Vec<Action> {
        self.ends_at = Some(not_after);
        self.is_end_said = false;
        match (self.phase, change) {
            (Phase::Waiting { .. }, _) => {
                self.phase = Phase::Running;
                self.told_at = Some(now.since_boot);
                vec![Action::Start]
            }
            (Phase::Running, Change::Credentials) => self.rotated(now),
            (Phase::Running, Change::Lists) => {
                self.lists_wait = matches!(self.policy.on_rotation, OnRotation::Signal(_));
                let has_command = self.policy.on_rotation == OnRotation::Command;
                has_command.then_some(Action::RunCommand(Change::Lists)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn rotated(&mut self, now: Reading) -> Vec<Action> {
        match self.policy.on_rotation {
            OnRotation::Command => vec![Action::RunCommand(Change::Credentials)],
            OnRotation::Nothing => Vec::new(),
            OnRotation::Signal(signal) => vec![self.tell(now, signal)],
            OnRotation::Restart if self.is_leaving => Vec::new(),
            OnRotation::Restart => vec![self.ask_to_end(now, Then::Start, Because::Rotated)],
        }
    }

    fn tell(&mut self, now: Reading, signal: i32) -> Action {
        self.told_at = Some(now.since_boot);
        self.lists_wait = false;
        Action::Reload(signal)
    }

    fn ask_to_end(&mut self, now: Reading, then: Then, because: Because) -> Action {
        self.phase = Phase::Ending {
            kill_at: Some(now.since_boot.saturating_add(self.policy.grace)),
            then,
        };
        Action::AskToEnd(because)
    }

    fn ended(&mut self, exit: Exit) -> Vec<Action> {
        let outcome = match self.phase {
            Phase::Waiting { .. } | Phase::Over => return Vec::new(),
            Phase::Ending { then: Then::Start, .. } => {
                self.phase = Phase::Running;
                self.lists_wait = false;
                return vec![Action::Start];
            }
            Phase::Ending {
                then: Then::LeaveForExpiry, ..
            } => Outcome::CredentialsEnded,
            Phase::Ending { .. } | Phase::Running => Outcome::Program(exit),
        };
        self.phase = Phase::Over;
        vec![Action::Leave(outcome)]
    }

    fn signalled(&mut self, signal: i32, ends: bool) -> Vec<Action> {
        self.is_leaving |= ends;
        match self.phase {
            Phase::Waiting { .. } if ends => {
                self.phase = Phase::Over;
                vec![Action::Leave(Outcome::Interrupted(signal))]
            }
            Phase::Waiting { .. } | Phase::Over => Vec::new(),
            Phase::Ending { kill_at, then: Then::Start } if ends => {
                self.phase = Phase::Ending {
                    kill_at,
                    then: Then::LeaveAsProgram,
                };
                vec![Action::Forward(signal)]
            }
            Phase::Ending { .. } | Phase::Running => vec![Action::Forward(signal)],
        }
    }

    /// What time alone makes due.
    fn due(&mut self, now: Reading) -> Option<Action> {
        match self.phase {
            Phase::Waiting { until } if now.since_boot >= until => {
                self.phase = Phase::Over;
                Some(Action::Leave(Outcome::NeverReady))
            }
            Phase::Ending { kill_at: Some(kill_at), then } if now.since_boot >= kill_at => {
                self.phase = Phase::Ending { kill_at: None, then };
                Some(Action::Kill)
            }
            Phase::Running if self.has_ended(now) => {
                self.is_end_said = true;
                match self.policy.on_expiry {
                    OnExpiry::Keep => Some(Action::SayEnded),
                    OnExpiry::Stop => Some(self.ask_to_end(now, Then::LeaveForExpiry, Because::CredentialsEnded)),
                }
            }
            Phase::Running => self.lists_due(now),
            _ => None,
        }
    }

    fn has_ended(&self, now: Reading) -> bool {
        !self.is_end_said && self.ends_at.is_some_and(|end| now.wall >= end)
    }

    fn lists_due(&mut self, now: Reading) -> Option<Action> {
        let OnRotation::Signal(signal) = self.policy.on_rotation else { return None };
        let is_quiet = self.told_at.is_none_or(|told| now.since_boot >= told.saturating_add(LISTS_INTERVAL));
        (self.lists_wait && is_quiet).then(|| self.tell(now, signal))
    }
}

#[cfg(test)]
mod tests;
