//! The loop that performs what the plan says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use platform::backoff::{Backoff, jitter};
use platform::clock::LONGEST_SLEEP;
use platform::file_set::FileSetError;
use platform::inherited::Inherited;
use platform::reload_command::{CommandError, Surroundings};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::delivery::{Changed, Format, SetFile};
use trust_domains::plan::supervising::{Action, Because, Event, Exit, Outcome, Policy, Supervised};
use trust_domains::{Serial, SpiffeId, Timestamp};

use super::change::change;
use super::child::Program;
use super::choice::Choice;
use super::directory::Place;
use super::environment::variables;
use super::error::{NotReady, RunError};
use super::given::Given;
use super::reload::{ReloadBy, Reloader};
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
    /// The command that tells the program of new files, where the policy has one.
    pub reload_by: Option<ReloadBy>,
    /// The program and its arguments.
    pub words: Vec<OsString>,
}

/// Runs the program until it ends, and returns the code to exit with: its own, or 128 and the signal's number. What was inherited reaches the program alone.
///
/// # Errors
/// [`RunError`]: it was not started, or was ended because its credentials did.
pub async fn run(options: Options, inherited: Inherited, clock: SharedClock) -> Result<u8, RunError> {
    // First of all, so that no signal and no end of a child is missed.
    let failed = |what| move |source| RunError::System { what, source };
    let mut arriving = signals::listen().map_err(failed("listening to signals"))?;
    let mut children = signal(SignalKind::child()).map_err(failed("listening to children"))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| failed("becoming the parent of orphans")(errno.into()))?;
    let place = Place::take(options.directory.as_deref())?;
    let tokens = options.tokens.iter().map(TokenSpec::of_set).collect();
    let contents = Contents::new(&options.formats, tokens, None).map_err(|error| failed("making a password")(std::io::Error::other(error)))?;
    let mut given = Given::follow(&options, contents.needs_jwt_keys(), &clock);
    let mut supervisor = Supervisor::new(options, clock, place, contents, Program::new(inherited));
    loop {
        let quiet = supervisor.quiet_for();
        let event = tokio::select! {
            Some(number) = arriving.recv() => Some(Event::Signalled { signal: number, ends: signals::ends(number) }),
            _ = children.recv() => supervisor.reap().map(Event::Ended),
            () = given.changed() => supervisor.deliver(&given),
            ended = supervisor.reload_ended() => supervisor.note_reload(&ended),
            () = tokio::time::sleep(quiet) => supervisor.retry(&given),
        };
        if let Some(outcome) = supervisor.perform(event.unwrap_or(Event::Tick))? {
            return supervisor.left(outcome);
        }
        supervisor.begin_reload();
    }
}

/// What is in place, as far as it is told.
struct InPlace {
    spiffe_id: SpiffeId,
    serial: Serial,
    not_after: Timestamp,
}

struct Supervisor {
    options: Options,
    clock: SharedClock,
    place: Place,
    program: Program,
    reloader: Option<Reloader>,
    supervised: Supervised,
    contents: Contents,
    /// The facts of what is in place.
    published: Vec<SetFile>,
    in_place: Option<InPlace>,
    /// Why nothing is in place yet.
    not_ready: Option<NotReady>,
    /// When files that could not be written are tried again, on the clock since boot.
    retry_at: Option<Duration>,
    backoff: Backoff,
    /// Whether it was said that the agent gives nothing.
    is_trouble_said: bool,
}

impl Supervisor {
    fn new(options: Options, clock: SharedClock, place: Place, contents: Contents, program: Program) -> Self {
        let supervised = Supervised::new(options.policy.clone(), clock.now());
        Self {
            clock,
            place,
            program,
            reloader: options.reload_by.clone().map(Reloader::new),
            supervised,
            options,
            contents,
            published: Vec::new(),
            in_place: None,
            not_ready: None,
            retry_at: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            is_trouble_said: false,
        }
    }

    fn quiet_for(&self) -> Duration {
        let now = self.clock.now();
        let retry = self.retry_at.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now.since_boot));
        let reload = self
            .reloader
            .as_ref()
            .map_or(LONGEST_SLEEP, |reloader| reloader.quiet_for(now.since_boot, LONGEST_SLEEP));
        self.supervised.quiet_for(now, LONGEST_SLEEP).min(retry).min(reload)
    }

    /// Takes in the children that ended, but for the reload command, whose run waits for it.
    fn reap(&mut self) -> Option<Exit> {
        self.program.reap(self.reloader.as_ref().and_then(Reloader::pid))
    }

    async fn reload_ended(&mut self) -> Result<(), CommandError> {
        match &mut self.reloader {
            Some(reloader) => reloader.ended().await,
            None => std::future::pending().await,
        }
    }

    fn note_reload(&mut self, ended: &Result<(), CommandError>) -> Option<Event> {
        if let Some(reloader) = &mut self.reloader {
            reloader.note_end(self.clock.now().since_boot, ended);
        }
        None
    }

    fn begin_reload(&mut self) {
        let (Some(reloader), Some(in_place)) = (&mut self.reloader, &self.in_place) else {
            return;
        };
        let (options, directory, program) = (&self.options, self.place.path(), self.program.pid());
        reloader.begin_due(self.clock.now().since_boot, |changed| {
            let mut variables = variables(&options.socket, directory, &options.formats, &options.tokens);
            variables.extend([
                ("TROTH_CHANGED".to_owned(), changed.to_string().into()),
                ("TROTH_SERIAL".to_owned(), in_place.serial.to_string().into()),
                ("TROTH_SPIFFE_ID".to_owned(), in_place.spiffe_id.to_string().into()),
            ]);
            variables.extend(program.map(|pid| ("TROTH_PID".to_owned(), pid.as_raw_nonzero().to_string().into())));
            Surroundings { variables, identity: None }
        });
    }

    fn retry(&mut self, given: &Given) -> Option<Event> {
        let is_due = self.retry_at.is_some_and(|at| self.clock.now().since_boot >= at);
        is_due.then(|| self.deliver(given)).flatten()
    }

    /// Puts what is known in place, if it is anything new.
    fn deliver(&mut self, given: &Given) -> Option<Event> {
        self.say_trouble(&given.state());
        match self.composed(given) {
            Ok((set, about)) => {
                let changed = Changed::between(&self.published, &set.facts);
                let change = change(&changed)?;
                let not_after = about.not_after;
                self.publish(set, about).then(|| {
                    self.reloader.iter_mut().for_each(|reloader| reloader.note(&changed));
                    Event::Delivered { not_after, change }
                })
            }
            Err(reason) => {
                self.not_ready = reason.or(self.not_ready.take());
                None
            }
        }
    }

    fn composed(&mut self, given: &Given) -> Result<(Composed, InPlace), Option<NotReady>> {
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
        let about = InPlace {
            spiffe_id: svid.spiffe_id().clone(),
            serial: *svid.serial(),
            not_after: svid.not_after(),
        };
        Ok((composed.map_err(|error| Some(error.into()))?, about))
    }

    /// Writes a set, and returns whether it is in place.
    fn publish(&mut self, set: Composed, about: InPlace) -> bool {
        let published = tokio::task::block_in_place(|| self.place.publish(&set.files));
        if let Err(error) = published {
            self.cannot_write(error);
            return false;
        }
        tracing::info!(serial = %about.serial, until = %about.not_after, "new credentials are in place");
        (self.published, self.in_place, self.retry_at) = (set.facts, Some(about), None);
        self.backoff.reset();
        true
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
                    self.program.signal_group(Signal::KILL);
                }
                Action::Leave(outcome) => return Ok(Some(outcome)),
                Action::RunCommand(change) => {
                    let now = self.clock.now().since_boot;
                    self.reloader.iter_mut().for_each(|reloader| reloader.ask(now, change));
                }
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
        self.program.signal_group(Signal::TERM);
    }

    fn start(&mut self) -> Result<(), RunError> {
        self.reloader.iter_mut().for_each(Reloader::program_starts);
        let variables = variables(&self.options.socket, self.place.path(), &self.options.formats, &self.options.tokens);
        self.program.start(&self.options.words, &variables).map_err(|source| RunError::Program {
            program: self.options.words.first().cloned().unwrap_or_default(),
            source,
        })
    }

    fn left(self, outcome: Outcome) -> Result<u8, RunError> {
        match outcome {
            Outcome::CredentialsEnded => Err(RunError::CredentialsEnded),
            Outcome::Interrupted(signal) => Ok(Exit::Signal(signal).code()),
            Outcome::NeverReady => Err(RunError::NeverReady {
                waited: self.options.policy.wait_for,
                reason: self.not_ready,
            }),
            Outcome::Program(exit) => Ok(exit.code()),
        }
    }
}
