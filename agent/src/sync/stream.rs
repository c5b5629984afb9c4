//! The loop that keeps the sync stream open and puts what it says into the cache.

use std::sync::Arc;
use std::time::Duration;

use platform::client::{CallError as Unanswered, JsonLines};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::duration::format_duration;
use trust_domains::problem::with_causes;
use trust_domains::wire::crls::{CrlsWhole, HandedBack};
use trust_domains::wire::node::{HEARTBEAT_S, SyncMessage};

use super::acknowledge::acknowledge;
use super::assembly::{Assembly, Step, SyncFault};
use super::link::Link;
use super::{Backoff, jitter};
use crate::node::{CallError, CurrentIdentity, IdentityKeeper, ServerClient, Verdict};
use crate::svids::SvidCache;

/// A stream that is silent for three heartbeats is dead.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_S);

/// The first wait after a failure: a server that restarts is back within a second.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between attempts: a server that was away for an hour sees all its agents again within this, spread over half of it.
/// No longer, as timers stand still while the machine sleeps.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Failures in a row that are logged as warnings; more of the same are noise.
const LOUD_FAILURES: u32 = 3;

/// Keeps the sync stream open.
pub(crate) struct Sync {
    pub(crate) client: ServerClient,
    pub(crate) keeper: Arc<IdentityKeeper>,
    pub(crate) cache: SvidCache,
    pub(crate) clock: SharedClock,
    pub(crate) link: watch::Sender<Link>,
    /// Changes when this process runs again after it did not for a while.
    pub(crate) woken: watch::Receiver<()>,
}

/// A stream ended, or never opened.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    /// The call, or what the server said last.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server closed the stream without a word.
    #[error("the server closed the sync stream")]
    Closed,
    /// The messages make no sense together.
    #[error(transparent)]
    Fault(#[from] SyncFault),
    /// Nothing came, not even a heartbeat.
    #[error("the server was silent for {}", format_duration(*.0))]
    Silent(Duration),
}

impl SyncError {
    /// Returns whether the server refused the identity itself.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Call(error) if error.problem().is_some_and(|problem| Verdict::of(problem.code()).is_final()))
    }

    /// Returns whether resuming would only lead to the same: a snapshot is asked for instead.
    fn asks_for_snapshot(&self) -> bool {
        matches!(self, Self::Fault(_) | Self::Call(CallError::Unanswered(Unanswered::NotExpected { .. })))
    }
}

/// Ends a task with the stream that it belongs to.
struct EndWith(JoinHandle<()>);

impl Drop for EndWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sync {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let (mut identity, mut woken) = (self.keeper.identity(), self.woken.clone());
        let mut resync = false;
        loop {
            identity.mark_unchanged();
            let error = tokio::select! {
                error = self.stream(resync, &mut backoff) => error,
                // With a renewed SVID a new connection: the old one ends with the old certificate.
                _ = identity.changed() => continue,
                // The connection is one of before: its server has given it up, or nobody knows.
                Ok(()) = woken.changed() => {
                    self.client.hang_up().await;
                    continue;
                }
                () = stop.cancelled() => return,
            };
            if error.is_refusal() {
                // Whoever lives this node's life says so, and decides what follows.
                return stop.cancelled().await;
            }
            resync = error.asks_for_snapshot();
            let failures = backoff.failures();
            let wait = backoff.next(jitter());
            self.lost(&error, failures);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = identity.changed() => {}
                Ok(()) = woken.changed() => backoff.reset(),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Follows one stream to its end.
    async fn stream(&self, resync: bool, backoff: &mut Backoff) -> SyncError {
        let resume = self.cache.resume_after().filter(|_| !resync);
        let query = resume.map_or_else(String::new, |shown| format!("?epoch={:016x}&after={}", shown.epoch, shown.counter));
        let (identity, mut lines) = match self.client.lines(&format!("/v1/node/sync{query}")).await {
            Ok(opened) => opened,
            Err(error) => return error.into(),
        };
        let held = self.cache.lists().borrow().as_ref().clone();
        let mut assembly = Assembly::new(identity.trust_domain(), resume, held);
        let mut acknowledging = None;
        loop {
            let taken = match next_message(&mut lines).await {
                Ok(message) => self.take(message, &mut assembly, &identity),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                return error;
            }
            if acknowledging.is_none() && self.link.borrow().is_open() {
                acknowledging = Some(EndWith(tokio::spawn(acknowledge(self.client.clone(), self.cache.clone()))));
                backoff.reset();
            }
        }
    }

    fn take(&self, message: SyncMessage, assembly: &mut Assembly, identity: &CurrentIdentity) -> Result<(), SyncError> {
        match assembly.take(message)? {
            Step::Apply(update) => {
                if let Some(bundle) = &update.bundle {
                    self.learn(Arc::new(bundle.clone()));
                }
                // First the link: whoever issues for the new entries may call at once.
                self.opened();
                self.cache.apply(update);
                self.hand_back();
            }
            Step::Advance(revision, standings) => {
                if let Some(standings) = standings {
                    self.cache.note_standings(standings);
                }
                self.cache.advance(revision);
            }
            Step::End(problem) => return Err(self.client.refused(identity, Unanswered::Refused(Box::new(problem)).into()).into()),
            Step::More => {}
        }
        Ok(())
    }

    /// Hands the revocation lists back to a server that knows of fewer than this agent: it was restored from an old backup.
    fn hand_back(&self) {
        let Some(CrlsWhole { lists }) = self.cache.lists_to_hand_back() else { return };
        let client = self.client.clone();
        tokio::spawn(async move {
            let count = lists.len();
            match client.post::<()>("/v1/node/crls", &HandedBack { lists }).await {
                Ok(()) => tracing::warn!(
                    lists = count,
                    "the server knew of fewer revocations than this agent; it was handed the lists back"
                ),
                Err(error) => {
                    tracing::error!(error = %with_causes(&error), "the server knows of fewer revocations than this agent, and did not take the lists back");
                }
            }
        });
    }

    fn opened(&self) {
        let opened = self.link.send_if_modified(|link| {
            let opens = !link.is_open();
            if opens {
                *link = Link::Open { since: self.clock.now().wall };
            }
            opens
        });
        if opened {
            tracing::info!("the sync stream is open");
            self.cache.retry_now();
        }
    }

    fn lost(&self, error: &SyncError, failures: u32) {
        let text = with_causes(error);
        if failures < LOUD_FAILURES {
            tracing::warn!(error = %text, "no sync stream; what is held is served, and the server is tried again");
        } else {
            tracing::debug!(error = %text, "still no sync stream");
        }
        let now = self.clock.now().wall;
        self.link.send_modify(|link| {
            let since = match link {
                Link::Away { since, .. } => *since,
                Link::Connecting | Link::Open { .. } | Link::Refused { .. } => now,
            };
            *link = Link::Away { since, error: text };
        });
    }

    /// Seals a new bundle with the identity, off the runtime.
    fn learn(&self, bundle: Arc<trust_domains::TrustBundle>) {
        let keeper = self.keeper.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = keeper.learn(bundle) {
                tracing::error!(error = %with_causes(&error), "the new trust bundle could not be sealed on disk; it is used, and a restart starts with the one before");
            }
        });
    }
}

async fn next_message(lines: &mut JsonLines) -> Result<SyncMessage, SyncError> {
    let next = tokio::time::timeout(SILENCE, lines.next()).await.map_err(|_| SyncError::Silent(SILENCE))?;
    next.map_err(CallError::from)?.ok_or(SyncError::Closed)
}
