//! Follows one identity of this node and keeps its files in place.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use platform::file_set::{self, Directory, FileSetError, KeyMode, Ownership};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::SharedClock;
use trust_domains::plan::reloading::Policy;
use trust_domains::problem::Coded as _;
use trust_domains::wire::agent::SinkStatus;
use trust_domains::{Revision, SpiffeId};

use super::contents::files;
use crate::reload::{Deliveries, Hooks, ReloadCounts, ReloadHook, Reloader};
use crate::svids::{IdentityView, SvidCache, Unserved};
use crate::workload::Attestor;

/// How long after a failure the sink tries again by itself: a full disk or a wrong mode is mended by people.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Whether lists are among the files.
const DELIVERS_LISTS: bool = true;

/// What a sink works with.
#[derive(Clone)]
pub struct SinkSurroundings {
    /// What is delivered.
    pub cache: SvidCache,
    /// The time.
    pub clock: SharedClock,
    /// What finds the processes that hooks signal.
    pub attestor: Arc<Attestor>,
    /// What hooks count.
    pub counts: ReloadCounts,
}

/// Where an identity goes, and whose the files are.
#[derive(Debug, Clone)]
pub struct FileSinkConfig {
    /// The identity: any entry of this node with this ID.
    pub spiffe_id: SpiffeId,
    /// The directory, an absolute path. It is made if only its last part is missing.
    pub directory: PathBuf,
    /// The user whose the files are, by name or number; the agent's own when absent.
    pub owner: Option<String>,
    /// The group whose the files are, by name or number; the agent's own when absent.
    pub group: Option<String>,
    /// The mode of the key.
    pub key_mode: KeyMode,
    /// What happens to the files when the identity is withdrawn.
    pub on_withdraw: OnWithdraw,
    /// What makes the program read the files, in this order.
    pub hooks: Vec<ReloadHook>,
    /// The least time between two reloads for revocation lists alone.
    pub crl_reload_interval: Duration,
}

/// What happens to the files when no entry of this node has the identity any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWithdraw {
    /// They stay until they are useless by themselves.
    Keep,
    /// They are removed.
    #[default]
    Remove,
}

/// The text is neither `remove` nor `keep`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is neither remove nor keep")]
pub struct ParseOnWithdrawError {
    /// What was given.
    pub presented: String,
}

impl FromStr for OnWithdraw {
    type Err = ParseOnWithdrawError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "keep" => Ok(Self::Keep),
            "remove" => Ok(Self::Remove),
            _ => Err(ParseOnWithdrawError { presented: text.to_owned() }),
        }
    }
}

impl fmt::Display for OnWithdraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        })
    }
}

/// Keeps the files of one identity in place.
#[derive(Debug)]
pub struct FileSink {
    config: FileSinkConfig,
    status: watch::Sender<SinkStatus>,
}

/// What the directory shall show.
#[derive(Debug, Clone)]
enum Wanted {
    /// The SVID and the bundles.
    Files(Arc<IdentityView>),
    /// Nothing that the sink made.
    Nothing,
    /// What it shows already; with the reason, if that is old.
    AsItIs(Option<String>),
}

impl FileSink {
    /// Returns a sink that has delivered nothing yet.
    #[must_use]
    pub fn new(config: FileSinkConfig) -> Self {
        let status = SinkStatus {
            spiffe_id: config.spiffe_id.clone(),
            directory: config.directory.display().to_string(),
            serial: None,
            written_at: None,
            last_error: None,
            hooks: Vec::new(),
        };
        Self {
            config,
            status: watch::Sender::new(status),
        }
    }

    /// Returns how the sink is, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SinkStatus> {
        self.status.subscribe()
    }

    /// Delivers each change of the identity until `stopping` is cancelled; a delivery that has begun is finished. Each runs the sink's hooks, and is acknowledged
    /// when they are done.
    ///
    /// A failure leaves what is in place, shows in the status and is tried again. The files stay when the agent stops.
    pub async fn run(self, around: SinkSurroundings, stopping: CancellationToken) {
        let SinkSurroundings {
            cache,
            clock,
            attestor,
            counts,
        } = around;
        let ticket = cache.register_sink(&self.config.spiffe_id);
        let (deliveries, reloader) = Reloader::new(self.hooks(attestor, counts), ticket, clock.clone(), self.status.clone());
        tokio::join!(self.deliver(&cache, &clock, deliveries, &stopping), reloader.run(stopping.clone()));
    }

    fn hooks(&self, attestor: Arc<Attestor>, counts: ReloadCounts) -> Hooks {
        Hooks {
            hooks: self.config.hooks.clone(),
            policy: Policy::with_lists_interval(self.config.crl_reload_interval),
            spiffe_id: self.config.spiffe_id.clone(),
            directory: self.config.directory.clone(),
            owner: self.config.owner.clone(),
            group: self.config.group.clone(),
            attestor,
            counts,
        }
    }

    async fn deliver(&self, cache: &SvidCache, clock: &SharedClock, mut deliveries: Deliveries, stopping: &CancellationToken) {
        let mut subscription = cache.subscribe_identity(&self.config.spiffe_id);
        let mut place = Place {
            config: self.config.clone(),
            directory: None,
        };
        let mut open: Option<(Wanted, Option<Revision>)> = Some((Wanted::AsItIs(None), None));
        let mut failures = 0_u32;
        loop {
            if let Some((wanted, revision)) = open.take() {
                let (back, delivered) = deliver_away_from_runtime(place, wanted.clone()).await;
                place = back;
                failures = if delivered.is_ok() { 0 } else { failures.saturating_add(1) };
                self.note(&wanted, &delivered, failures, clock);
                match (delivered, &wanted) {
                    (Ok(()), Wanted::Files(view)) => deliveries.delivered(view, DELIVERS_LISTS, revision),
                    (Ok(()), Wanted::Nothing) => deliveries.withdrawn(revision),
                    (Ok(()), Wanted::AsItIs(_)) => deliveries.kept(revision),
                    (Err(_noted), _) => open = Some((wanted, revision)),
                }
            }
            let next = tokio::select! {
                // An agent whose node was refused withdraws, then ends: the withdrawal comes first.
                biased;
                next = subscription.next() => next,
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(RETRY_AFTER), if open.is_some() => continue,
            };
            if let Some(wanted) = self.wanted(next) {
                open = Some((wanted, subscription.revision()));
            }
        }
    }

    /// Returns what the directory shall show after a change; nothing new while the agent is starting.
    fn wanted(&self, next: Result<Arc<IdentityView>, Unserved>) -> Option<Wanted> {
        match next {
            Ok(view) => Some(Wanted::Files(view)),
            Err(Unserved::Starting) => None,
            Err(unserved) if unserved.is_denied() => Some(match self.config.on_withdraw {
                OnWithdraw::Keep => Wanted::AsItIs(None),
                OnWithdraw::Remove => Wanted::Nothing,
            }),
            Err(nothing_valid_now) => Some(Wanted::AsItIs(Some(nothing_valid_now.to_string()))),
        }
    }

    /// Shows and logs how a delivery went; the same failure over and over is logged three times.
    fn note(&self, wanted: &Wanted, delivered: &Result<(), FileSetError>, failures: u32, clock: &SharedClock) {
        const LOGGED: u32 = 3;
        let (spiffe_id, directory) = (&self.config.spiffe_id, self.config.directory.display());
        match delivered {
            Ok(()) => tracing::debug!(%spiffe_id, %directory, "sink is up to date"),
            Err(error) if failures <= LOGGED => tracing::error!(%spiffe_id, %directory, error = %text(error), hint = error.hint(), "sink failed"),
            Err(error) => tracing::debug!(%spiffe_id, %directory, error = %text(error), "sink failed again"),
        }
        self.status.send_modify(|status| {
            status.last_error = match (delivered, wanted) {
                (Err(error), _) => Some(text(error)),
                (Ok(()), Wanted::AsItIs(reason)) => reason.clone(),
                (Ok(()), Wanted::Files(_) | Wanted::Nothing) => None,
            };
            match (delivered, wanted) {
                (Ok(()), Wanted::Files(view)) => {
                    status.serial = view.svids.first().map(|svid| svid.serial);
                    status.written_at = Some(clock.now().wall);
                }
                (Ok(()), Wanted::Nothing) => {
                    status.serial = None;
                    status.written_at = Some(clock.now().wall);
                }
                (Ok(()), Wanted::AsItIs(_)) | (Err(_), _) => {}
            }
        });
    }
}

/// Returns an error with its cause.
fn text(error: &FileSetError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The directory, with what is needed to open it.
struct Place {
    config: FileSinkConfig,
    directory: Option<Directory>,
}

impl Place {
    fn deliver(&mut self, wanted: &Wanted) -> Result<(), FileSetError> {
        let directory = match self.directory.take() {
            Some(directory) => directory.check_again()?,
            None => {
                let directory = Directory::open(&self.config.directory)?;
                file_set::recover(&directory)?;
                directory
            }
        };
        let directory = self.directory.insert(directory);
        match wanted {
            Wanted::Files(view) => {
                let Some(svid) = view.svids.first() else { return Ok(()) };
                let ownership = Ownership::resolve(self.config.owner.as_deref(), self.config.group.as_deref(), self.config.key_mode)?;
                file_set::publish(directory, &files(svid, view), &ownership)
            }
            Wanted::Nothing => file_set::withdraw(directory),
            Wanted::AsItIs(_) => Ok(()),
        }
    }
}

/// Delivers on a thread that may wait for the disk; the place comes back.
async fn deliver_away_from_runtime(mut place: Place, wanted: Wanted) -> (Place, Result<(), FileSetError>) {
    let config = place.config.clone();
    let delivering = tokio::task::spawn_blocking(move || {
        let delivered = place.deliver(&wanted);
        (place, delivered)
    });
    match delivering.await {
        Ok(done) => done,
        Err(stopped) => {
            let source = std::io::Error::other(stopped);
            let path = config.directory.clone();
            (
                Place { config, directory: None },
                Err(FileSetError::System {
                    action: "delivering to",
                    path,
                    source,
                }),
            )
        }
    }
}

#[cfg(test)]
mod tests;
