//! The loop that performs what the plan says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use platform::backoff::{Backoff, jitter};
use platform::clock::LONGEST_SLEEP;
use platform::file_set::FileSetError;
use tokio::signal::unix::{SignalKind, signal};
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::delivery::{Format, SetFile};
use trust_domains::plan::supervising::{Action, Because, Change, Event, Outcome, Policy, Supervised};
use trust_domains::{Serial, Timestamp};

use super::change::change;
use super::child::Program;
use super::choice::Choice;
use super::directory::Place;
use super::environment::variables;
use super::error::{NotReady, RunError};
use super::given::Given;
use super::signals;
use super::tokens::TokenSpec;
use crate::contents::{Composed, Contents};
use crate::source::SourceState;

/// The waits between two attempts to write files on a disk that takes none.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is supervised, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The socket of the Workload API.
    pub socket: PathBuf,
    /// The directory of the files; one of its own without it.
    pub directory: Option<PathBuf>,
    /// Which identity of several.
    pub choice: Choice,
    /// In which forms.
    pub formats: Vec<Format>,
    /// Which tokens beside it.
    pub tokens: Vec<TokenSpec>,
    /// What is done when.
    pub policy: Policy,
    /// The program and its arguments.
    pub words: Vec<OsString>,
}

/// Runs the program until it ends, and returns the code to exit with: its own, or 128 and the signal's number.
///
/// # Errors
/// [`RunError`]: it was not started, or was ended because its credentials did.
pub async fn run(options: Options, clock: SharedClock) -> Result<u8, RunError> {
    // First of all, so that no signal and no end of a child is missed.
    let failed = |what| move |source| RunError::System { what, source };
    let mut arriving = signals::listen().map_err(failed("listening to signals"))?;
    let mut children = signal(SignalKind::child()).map_err(failed("listening to children"))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| failed("becoming the parent of orphans")(errno.into()))?;
    let place = Place::take(options.directory.as_deref())?;
    let tokens = options.tokens.iter().map(TokenSpec::of_set).collect();
    let contents = Contents::new(&options.formats, tokens, None).map_err(|error| failed("making a password")(std::io::Error::other(error)))?;
    let mut given = Given::follow(&options, contents.needs_jwt_keys(), &clock);
    let mut supervisor = Supervisor::new(options, clock, place, contents);
    loop {
        let event = tokio::select! {
            Some(number) = arriving.recv() => Some(Event::Signalled { signal: number, ends: signals::ends(number) }),
            _ = children.recv() => supervisor.program.reap().map(Event::Ended),
            () = given.changed() => supervisor.deliver(&given),
            () = tokio::time::sleep(supervisor.quiet_for()) => supervisor.retry(&given),
        };
        if let Some(outcome) = supervisor.perform(event.unwrap_or(Event::Tick))? {
            return supervisor.left(outcome);
        }
    }
}

struct Supervisor {
    options: Options,
    clock: SharedClock,
    place: Place,
    program: Program,
    supervised: Supervised,
    contents: Contents,
    /// The facts of what is in place.
    published: Vec<SetFile>,
    /// Why nothing is in place yet.
    not_ready: Option<NotReady>,
    /// When files that could not be written are tried again, on the clock since boot.
    retry_at: Option<Duration>,
    backoff: Backoff,
    /// Whether it was said that the agent gives nothing.
    is_trouble_said: bool,
}

impl Supervisor {
    fn new(options: Options, clock: SharedClock, place: Place, contents: Contents) -> Self {
        let supervised = Supervised::new(options.policy.clone(), clock.now());
        Self {
            options,
            clock,
            place,
            program: Program::new(),
            supervised,
            contents,
            published: Vec::new(),
            not_ready: None,
            retry_at: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            is_trouble_said: false,
        }
    }

    fn quiet_for(&self) -> Duration {
        let now = self.clock.now();
        let retry = self.retry_at.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now.since_boot));
        self.supervised.quiet_for(now, LONGEST_SLEEP).min(retry)
    }

    fn retry(&mut self, given: &Given) -> Option<Event> {
        let is_due = self.retry_at.is_some_and(|at| self.clock.now().since_boot >= at);
        is_due.then(|| self.deliver(given)).flatten()
    }

    /// Puts what is known in place, if it is anything new.
    fn deliver(&mut self, given: &Given) -> Option<Event> {
        self.say_trouble(&given.state());
        match self.composed(given) {
            Ok((set, serial, not_after)) => {
                let change = change(&self.published, &set.facts)?;
                self.publish(set, serial, not_after, change)
            }
            Err(reason) => {
                self.not_ready = reason.or(self.not_ready.take());
                None
            }
        }
    }

    fn composed(&mut self, given: &Given) -> Result<(Composed, Serial, Timestamp), Option<NotReady>> {
        let (state, keys) = (given.state(), given.keys());
        let Some(context) = &state.context else {
            return Err(state.trouble.map(NotReady::Agent));
        };
        let svid = self.options.choice.find(context).map_err(|error| Some(error.into()))?;
        let now = self.clock.now().wall;
        let tokens = given.tokens(now);
        let lacks_tokens = self.published.is_empty() && tokens.len() < self.options.tokens.len();
        let lacks_keys = self.contents.needs_jwt_keys() && keys.is_none();
        // What has ended is not written, and the program does not start without what it was promised.
        if svid.not_after() <= now || lacks_tokens || lacks_keys {
            return Err(state.trouble.clone().map(NotReady::Agent));
        }
        let texts = tokens.iter().map(|token| (token.name().clone(), token.text())).collect();
        let composed = self.contents.compose(context, svid, &keys.unwrap_or_default(), texts);
        Ok((composed.map_err(|error| Some(error.into()))?, *svid.serial(), svid.not_after()))
    }

    fn publish(&mut self, set: Composed, serial: Serial, not_after: Timestamp, change: Change) -> Option<Event> {
        match tokio::task::block_in_place(|| self.place.publish(&set.files)) {
            Ok(()) => {
                tracing::info!(%serial, until = %not_after, "new credentials are in place");
                (self.published, self.retry_at) = (set.facts, None);
                self.backoff.reset();
                Some(Event::Delivered { not_after, change })
            }
            Err(error) => {
                self.cannot_write(error);
                None
            }
        }
    }

    fn cannot_write(&mut self, error: FileSetError) {
        if self.backoff.failures() == 0 {
            tracing::warn!(error = %error, "new credentials could not be written; those before stay, and it is tried again");
        }
        self.retry_at = Some(self.clock.now().since_boot.saturating_add(self.backoff.next(jitter())));
        self.not_ready = Some(NotReady::Files(Arc::new(error)));
    }

    /// Says once that the agent went away, and once that it is back.
    fn say_trouble(&mut self, state: &SourceState) {
        match &state.trouble {
            Some(trouble) if !self.is_trouble_said => {
                self.is_trouble_said = true;
                let until = state
                    .context
                    .as_ref()
                    .and_then(|context| Some(self.options.choice.find(context).ok()?.not_after()));
                match until {
                    Some(until) => tracing::warn!(error = %trouble, %until, "the agent gives no new credentials now; those in place are good until they end"),
                    None => tracing::warn!(error = %trouble, "waiting for credentials"),
                }
            }
            None if self.is_trouble_said => {
                self.is_trouble_said = false;
                tracing::info!("the agent gives credentials again");
            }
            _ => {}
        }
    }

    /// Takes an event in and does what is due; returns how it ended, if it did.
    fn perform(&mut self, event: Event) -> Result<Option<Outcome>, RunError> {
        for action in self.supervised.take(self.clock.now(), event) {
            match action {
                Action::AskToEnd(because) => self.ask_to_end(because),
                Action::Forward(signal) | Action::Reload(signal) => self.program.signal(signal),
                Action::Kill => {
                    tracing::warn!("the program did not end within its grace and is killed");
                    self.program.signal_group(Signal::SIGKILL);
                }
                Action::Leave(outcome) => return Ok(Some(outcome)),
                Action::SayEnded => tracing::warn!("the credentials have ended; the program goes on, as --on-expiry keep says"),
                Action::Start => self.start()?,
            }
        }
        Ok(None)
    }

    fn ask_to_end(&mut self, because: Because) {
        match because {
            Because::CredentialsEnded => tracing::warn!("the credentials have ended; the program is ended"),
            Because::Rotated => tracing::info!("the program starts anew with new credentials"),
        }
        self.program.signal_group(Signal::SIGTERM);
    }

    fn start(&mut self) -> Result<(), RunError> {
        let variables = variables(&self.options.socket, self.place.path(), &self.options.formats, &self.options.tokens);
        self.program.start(&self.options.words, &variables).map_err(|source| RunError::Program {
            program: self.options.words.first().cloned().unwrap_or_default(),
            source,
        })
    }

    fn left(self, outcome: Outcome) -> Result<u8, RunError> {
        match outcome {
            Outcome::CredentialsEnded => Err(RunError::CredentialsEnded),
            Outcome::Interrupted(signal) => Ok(trust_domains::plan::supervising::Exit::Signal(signal).code()),
            Outcome::NeverReady => Err(RunError::NeverReady {
                waited: self.options.policy.wait_for,
                reason: self.not_ready,
            }),
            Outcome::Program(exit) => Ok(exit.code()),
        }
    }
}
