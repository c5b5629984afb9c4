//! Follows one identity of this node and keeps its files in place.

use std::sync::Arc;
use std::time::Duration;

use platform::file_set::Delivery;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::Revision;
use trust_domains::clock::SharedClock;
use trust_domains::plan::reloading::Policy;
use trust_domains::problem::Coded as _;
use trust_domains::wire::agent::SinkStatus;

use super::config::{FileSinkConfig, OnWithdraw};
use super::contents::Material;
use super::error::SinkError;
use super::place::{Done, Place, Wanted};
use super::tokens::{ASK_AGAIN, HeldTokens, SinkTokens};
use crate::jwt_svids::JwtCache;
use crate::reload::{Delivered, Deliveries, Hooks, ReloadCounts, Reloader};
use crate::svids::{IdentityView, SvidCache, Unserved};
use crate::workload::Attestor;

/// How long after a failure the sink tries again by itself: a full disk or a wrong mode is mended by people.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often it looks whether somebody changed what is in place: a key that was opened to others is not open for long.
const LOOK_AFTER: Duration = Duration::from_secs(10);

/// Keeps the files of one identity in place.
#[derive(Debug)]
pub struct FileSink {
    config: FileSinkConfig,
    status: watch::Sender<SinkStatus>,
}

/// What a sink works with.
#[derive(Clone)]
pub struct SinkSurroundings {
    /// What is delivered.
    pub cache: SvidCache,
    /// The tokens.
    pub tokens: JwtCache,
    /// The time.
    pub clock: SharedClock,
    /// What finds the processes that hooks signal.
    pub attestor: Arc<Attestor>,
    /// What hooks count.
    pub counts: ReloadCounts,
}

/// What is to be done, and the commit that it shows.
#[derive(Clone)]
struct Task {
    wanted: Wanted,
    revision: Option<Revision>,
}

/// Where the hooks are told, and the tokens that they were told of last.
struct Told {
    deliveries: Deliveries,
    tokens: Arc<HeldTokens>,
}

impl FileSink {
    /// Returns a sink that has delivered nothing yet.
    #[must_use]
    pub fn new(config: FileSinkConfig) -> Self {
        let status = SinkStatus::new(config.spiffe_id.clone(), config.directory.display().to_string());
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

    /// Delivers each change of the identity until `stopping` is cancelled; a delivery that has begun is finished. Each makes the hooks run, and its commit is
    /// acknowledged when they are done.
    ///
    /// A failure leaves what is in place, shows in the status and is tried again. The files stay when the agent stops.
    pub async fn run(self, around: SinkSurroundings, stopping: CancellationToken) {
        let ticket = around.cache.register_sink(&self.config.spiffe_id);
        let hooks = Hooks {
            hooks: self.config.hooks.clone(),
            policy: Policy::with_lists_interval(self.config.crl_reload_interval),
            spiffe_id: self.config.spiffe_id.clone(),
            directory: self.config.directory.clone(),
            owner: self.config.owner.clone(),
            group: self.config.group.clone(),
            attestor: around.attestor.clone(),
            counts: around.counts.clone(),
        };
        let (deliveries, reloader) = Reloader::new(hooks, ticket, around.clock.clone(), self.status.clone());
        tokio::join!(self.deliver(around, deliveries, stopping.clone()), reloader.run(stopping));
    }

    async fn deliver(&self, around: SinkSurroundings, deliveries: Deliveries, stopping: CancellationToken) {
        let mut hooks = Told {
            deliveries,
            tokens: Arc::default(),
        };
        let SinkSurroundings { cache, tokens, clock, .. } = around;
        let mut subscription = cache.subscribe_identity(&self.config.spiffe_id);
        let tokens = SinkTokens::new(self.config.contents.tokens.clone(), cache, tokens);
        let mut place = Place::new(self.config.clone());
        let mut task = Task {
            wanted: Wanted::AsItIs(None),
            revision: None,
        };
        let mut failures = 0_u32;
        let mut are_tokens_known = tokens.is_empty();
        loop {
            if let (Wanted::Files(material), false) = (&mut task.wanted, are_tokens_known) {
                let (back, found) = place.read_tokens(tokens.names().cloned().collect()).await;
                place = back;
                // Where they cannot be read nothing can be delivered either; it is tried again with that.
                if let Ok(found) = found {
                    material.tokens = Arc::new(tokens.believed(&found, &material.view, clock.now().wall));
                    are_tokens_known = true;
                }
            }
            task.wanted = with_fresh_tokens(task.wanted, &tokens, &clock).await;
            let (back, delivered) = place.deliver_away_from_runtime(task.wanted.clone(), clock.now().wall).await;
            place = back;
            failures = if delivered.is_ok() { 0 } else { failures.saturating_add(1) };
            self.note(&task.wanted, &delivered, failures, &clock);
            if let Ok(done) = &delivered {
                self.hand_over(&mut hooks, &task.wanted, done, task.revision.take());
            }
            let look = look_after(&task.wanted, delivered.is_ok(), &tokens);
            let next = tokio::select! {
                // An agent whose node was refused withdraws, then ends: the withdrawal comes first.
                biased;
                next = subscription.next() => next,
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(look) => continue,
            };
            if let Some(wanted) = self.wanted(next, &task.wanted) {
                task = Task {
                    wanted,
                    revision: subscription.revision(),
                };
            }
        }
    }

    /// Tells the hooks what is in place now.
    fn hand_over(&self, hooks: &mut Told, wanted: &Wanted, done: &Done, revision: Option<Revision>) {
        match (&done.shown, wanted) {
            (Some(material), _) => {
                let before = std::mem::replace(&mut hooks.tokens, Arc::clone(&material.tokens));
                let set = Delivered {
                    view: &material.view,
                    is_new: done.delivery == Delivery::Published,
                    has_tokens: !material.tokens.is_empty(),
                    tokens_changed: !material.tokens.same_tokens(&before),
                };
                hooks.deliveries.delivered(&set, revision);
            }
            (None, Wanted::Nothing(_)) => hooks.deliveries.withdrawn(revision),
            (None, Wanted::AsItIs(_) | Wanted::Files(_)) => hooks.deliveries.kept(revision),
        }
    }

    /// Returns what the directory shall show after a change; nothing new while the agent is starting.
    fn wanted(&self, next: Result<Arc<IdentityView>, Unserved>, before: &Wanted) -> Option<Wanted> {
        match next {
            Ok(view) => Some(Wanted::Files(Material {
                view,
                tokens: match before {
                    Wanted::Files(material) => Arc::clone(&material.tokens),
                    Wanted::AsItIs(_) | Wanted::Nothing(_) => Arc::default(),
                },
            })),
            Err(Unserved::Starting) => None,
            Err(unserved) if unserved.is_denied() => {
                let reason = self.denied(&unserved);
                Some(match self.config.on_withdraw {
                    OnWithdraw::Keep => Wanted::AsItIs(Some(reason)),
                    OnWithdraw::Remove => Wanted::Nothing(reason),
                })
            }
            Err(nothing_valid_now) => Some(Wanted::AsItIs(Some(nothing_valid_now.to_string()))),
        }
    }

    /// Says why there is nothing to deliver: a typing mistake in the configuration looks just like an entry that was deleted.
    fn denied(&self, unserved: &Unserved) -> String {
        match unserved {
            Unserved::NotEntitled => format!("no entry of this node gives {}", self.config.spiffe_id),
            other => other.to_string(),
        }
    }

    /// Shows and logs how a delivery went; the same failure over and over is logged three times.
    fn note(&self, wanted: &Wanted, delivered: &Result<Done, SinkError>, failures: u32, clock: &SharedClock) {
        const LOGGED: u32 = 3;
        let (spiffe_id, directory) = (&self.config.spiffe_id, self.config.directory.display());
        match delivered {
            Ok(done) if done.delivery == Delivery::Mended => tracing::warn!(%spiffe_id, %directory, "somebody had changed owner or mode of delivered files"),
            Ok(_) => tracing::debug!(%spiffe_id, %directory, "sink is up to date"),
            Err(error) if failures <= LOGGED => tracing::error!(%spiffe_id, %directory, error = %error.text(), hint = error.hint(), "sink failed"),
            Err(error) => tracing::debug!(%spiffe_id, %directory, error = %error.text(), "sink failed again"),
        }
        let before = self.status.borrow().last_error.clone();
        self.status.send_if_modified(|status| noted(status, wanted, delivered, clock));
        let now = self.status.borrow().last_error.clone();
        if let (Ok(_), Some(lack)) = (delivered, now.filter(|now| before.as_ref() != Some(now))) {
            tracing::warn!(%spiffe_id, %directory, lack, "sink delivers less than it should");
        }
    }
}

/// Brings the status up to date; returns whether it changed.
fn noted(status: &mut SinkStatus, wanted: &Wanted, delivered: &Result<Done, SinkError>, clock: &SharedClock) -> bool {
    let before = (status.serial, status.written_at, status.last_error.clone());
    status.last_error = match (delivered, wanted) {
        (Err(error), _) => Some(error.text()),
        (Ok(_), Wanted::AsItIs(reason)) => reason.clone(),
        (Ok(_), Wanted::Nothing(reason)) => Some(reason.clone()),
        (Ok(done), Wanted::Files(_)) => done.lack.clone(),
    };
    if let (Ok(done), Wanted::Files(_) | Wanted::Nothing(_)) = (delivered, wanted) {
        status.serial = done.shown.as_ref().and_then(|material| material.view.svids.first()).map(|svid| svid.serial);
        // A directory that is still empty, or files that were there when the agent started, are no news.
        if before.0 != status.serial || (done.delivery == Delivery::Published && status.serial.is_some()) {
            status.written_at = Some(clock.now().wall);
        }
    }
    before != (status.serial, status.written_at, status.last_error.clone())
}

/// Asks for the tokens anew, where there are any.
async fn with_fresh_tokens(wanted: Wanted, tokens: &SinkTokens, clock: &SharedClock) -> Wanted {
    match wanted {
        Wanted::Files(material) if !tokens.is_empty() => {
            let fresh: Arc<HeldTokens> = tokens.now(&material.view, material.tokens, || clock.now()).await;
            Wanted::Files(Material { tokens: fresh, ..material })
        }
        other => other,
    }
}

/// Returns how long to wait until the directory is looked at again.
fn look_after(wanted: &Wanted, is_delivered: bool, tokens: &SinkTokens) -> Duration {
    match wanted {
        _ if !is_delivered => RETRY_AFTER,
        Wanted::Files(_) if !tokens.is_empty() => ASK_AGAIN,
        Wanted::AsItIs(_) | Wanted::Files(_) | Wanted::Nothing(_) => LOOK_AFTER,
    }
}

#[cfg(test)]
mod tests;
