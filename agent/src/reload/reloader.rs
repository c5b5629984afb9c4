//! Runs the hooks of a sink as their plan says, and acknowledges what is done.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::delivery::{Changed, Part};
use trust_domains::plan::reloading::{Change, Policy, Reloading, Step, Unread};
use trust_domains::problem::{Coded as _, with_causes};
use trust_domains::wire::agent::{HookStatus, SinkStatus};
use trust_domains::{Revision, SpiffeId};

use super::context::{HookContext, HookOwner};
use super::counts::ReloadCounts;
use super::error::HookError;
use super::hook::{Performed, ReloadHook};
use crate::svids::{IdentityView, SinkTicket};
use crate::workload::Attestor;

/// How long the plan is not asked at most: timers stop while the machine is suspended, and the plan's clock does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// How long hooks that run when the agent ends have: within what its parts have together.
const END_GRACE: Duration = Duration::from_secs(5);

/// The same failure is logged so often in a row; then it is in the status alone.
const LOGGED: u32 = 3;

/// Failures that pass by themselves while a program starts are not logged so often in a row.
const PASSING: u32 = 3;

/// What the hooks of a sink need.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// The hooks, in their order.
    pub hooks: Vec<ReloadHook>,
    /// When they run.
    pub policy: Policy,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Where the files are.
    pub directory: PathBuf,
    /// Whose they are, as configured.
    pub owner: Option<String>,
    /// Their group, as configured.
    pub group: Option<String>,
    /// What proves which process is which.
    pub attestor: Arc<Attestor>,
    /// What hooks count.
    pub counts: ReloadCounts,
}

/// What a sink did.
enum Done {
    /// A set is in place; what is new in it, if anything is.
    Delivered { view: Arc<IdentityView>, news: Option<(Change, Changed)> },
    /// What is there stays.
    Kept,
    /// The files are gone.
    Withdrawn,
}

/// A set that is in place.
pub(crate) struct Delivered<'a> {
    /// What it was made of.
    pub(crate) view: &'a Arc<IdentityView>,
    /// Whether it was put there now.
    pub(crate) is_new: bool,
    /// Whether it has tokens.
    pub(crate) has_tokens: bool,
    /// Whether some of them, or their being gone, are new.
    pub(crate) tokens_changed: bool,
}

/// The sink's end: what it did, for the hooks.
pub(crate) struct Deliveries {
    sender: mpsc::UnboundedSender<(Done, Option<Revision>)>,
    last: Option<Arc<IdentityView>>,
}

impl Deliveries {
    /// A set is in place that shows this commit.
    ///
    /// The first set after the agent has started runs the hooks even if it was there: nobody knows whether they ran for it.
    pub(crate) fn delivered(&mut self, set: &Delivered<'_>, revision: Option<Revision>) {
        let news = set.news(self.last.as_deref());
        self.last = Some(Arc::clone(set.view));
        let view = Arc::clone(set.view);
        self.send(Done::Delivered { view, news }, revision);
    }

    /// What was there before stays, and that is right for this commit.
    pub(crate) fn kept(&self, revision: Option<Revision>) {
        self.send(Done::Kept, revision);
    }

    /// The files were taken away.
    pub(crate) fn withdrawn(&mut self, revision: Option<Revision>) {
        self.last = None;
        self.send(Done::Withdrawn, revision);
    }

    fn send(&self, done: Done, revision: Option<Revision>) {
        // Nobody hears it only when the agent ends.
        let _ = self.sender.send((done, revision));
    }
}

impl Delivered<'_> {
    /// Returns what hooks are told, if they are told anything.
    fn news(&self, last: Option<&IdentityView>) -> Option<(Change, Changed)> {
        let Some(last) = last else { return Some((Change::Credentials, self.all())) };
        let changed = self.since(last);
        if changed.is_empty() {
            // The same was put there again: somebody had changed the files, and programs may have read those.
            return (self.is_new && last.same_contents(self.view)).then(|| (Change::Credentials, self.all()));
        }
        let change = if changed.is_only(&[Part::Crl]) {
            change_of_lists(last, self.view)
        } else {
            Change::Credentials
        };
        Some((change, changed))
    }

    fn since(&self, last: &IdentityView) -> Changed {
        let bundles = |view: &IdentityView| view.bundles().map(Arc::as_ptr).collect::<Vec<_>>();
        let differs = |part| match part {
            Part::Svid => !last.same_svids(self.view),
            Part::Bundle => bundles(last) != bundles(self.view),
            Part::Crl => !last.same_lists(self.view),
            Part::Token => self.tokens_changed,
        };
        Part::ALL.into_iter().filter(|part| differs(*part)).collect()
    }

    /// Returns all parts that the set has.
    fn all(&self) -> Changed {
        let has = |part| match part {
            Part::Svid | Part::Bundle => true,
            Part::Crl => self.view.has_lists(),
            Part::Token => self.has_tokens,
        };
        Part::ALL.into_iter().filter(|part| has(*part)).collect()
    }
}

/// A program that asks for a list of each CA refuses everybody under one whose list it has not read: that waits for no turn, and the CA signs nothing before.
///
/// Lists of partners wait: their CAs do not wait for the programs here, and a partner that makes up CAs is not to make programs reload with each.
fn change_of_lists(before: &IdentityView, now: &IdentityView) -> Change {
    if now.crls.add_a_ca_to(&before.crls) {
        Change::Credentials
    } else {
        Change::Lists
    }
}

/// Runs the hooks of one sink.
pub(crate) struct Reloader {
    hooks: Hooks,
    plan: Reloading,
    unread: Unread,
    ticket: SinkTicket,
    clock: SharedClock,
    status: watch::Sender<SinkStatus>,
    deliveries: mpsc::UnboundedReceiver<(Done, Option<Revision>)>,
    view: Option<Arc<IdentityView>>,
    /// The commits that sets show and that are not acknowledged, by the number of the set.
    owed: VecDeque<(u64, Revision)>,
    newest: u64,
}

type Ran = (usize, Arc<IdentityView>, Result<Performed, HookError>);

impl Reloader {
    /// Returns what runs the hooks, and the end that the sink tells.
    pub(crate) fn new(hooks: Hooks, ticket: SinkTicket, clock: SharedClock, status: watch::Sender<SinkStatus>) -> (Deliveries, Self) {
        let (sender, deliveries) = mpsc::unbounded_channel();
        status.send_modify(|status| status.hooks = hooks.hooks.iter().map(|hook| HookStatus::new(hook.to_string())).collect());
        let reloader = Self {
            plan: Reloading::new(hooks.policy, hooks.hooks.len()),
            unread: Unread::default(),
            hooks,
            ticket,
            clock,
            status,
            deliveries,
            view: None,
            owed: VecDeque::new(),
            newest: 0,
        };
        (Deliveries { sender, last: None }, reloader)
    }

    /// Runs hooks until the sink has ended; those that run then may end, for a time.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut running: FuturesUnordered<BoxFuture<'static, Ran>> = FuturesUnordered::new();
        loop {
            if !stopping.is_cancelled() {
                self.begin_due(&running);
            }
            self.acknowledge();
            let sleep = self.sleep();
            tokio::select! {
                delivery = self.deliveries.recv() => match delivery {
                    Some((done, revision)) => self.note_delivery(done, revision),
                    None => break,
                },
                Some(ran) = running.next(), if !running.is_empty() => self.note_run(ran),
                () = tokio::time::sleep(sleep) => {}
            }
        }
        let ending = async {
            while let Some(ran) = running.next().await {
                self.note_run(ran);
            }
        };
        // What has not ended by then is killed as it is dropped.
        let _ = tokio::time::timeout(END_GRACE, ending).await;
    }

    fn note_delivery(&mut self, done: Done, revision: Option<Revision>) {
        let now = self.clock.now().since_boot;
        match done {
            Done::Delivered { view, news } => {
                self.view = Some(view);
                if let Some((change, changed)) = news {
                    self.newest = self.plan.delivered(now, change);
                    self.unread.note(self.newest, &changed);
                }
            }
            Done::Kept => {}
            Done::Withdrawn => {
                self.plan.withdrawn();
                self.view = None;
            }
        }
        if let Some(revision) = revision {
            // Of several commits that one set shows, the last is acknowledged for all.
            if self.owed.back().is_some_and(|(set, _)| *set == self.newest) {
                self.owed.pop_back();
            }
            self.owed.push_back((self.newest, revision));
        }
    }

    fn begin_due(&mut self, running: &FuturesUnordered<BoxFuture<'static, Ran>>) {
        while let Some(step) = self.plan.next(self.clock.now().since_boot) {
            match step {
                Step::GiveUp { hook, .. } => self.note_given_up(hook),
                Step::Run { hook, reason, .. } => match (self.hooks.hooks.get(hook), &self.view) {
                    (Some(settings), Some(view)) => {
                        let changed = self.unread.since(self.plan.seen(hook));
                        tracing::debug!(hook = %settings, directory = %self.hooks.directory.display(), ?reason, %changed, "a reload hook runs");
                        running.push(Box::pin(run(hook, settings.clone(), self.hooks.clone(), Arc::clone(view), changed)));
                    }
                    // Nothing is in place: there is nothing to read.
                    _ => self.plan.ended(self.clock.now().since_boot, hook, true, 1.0),
                },
            }
        }
    }

    fn acknowledge(&mut self) {
        let done = self.plan.done();
        let count = self.owed.iter().take_while(|(set, _)| *set <= done).count();
        if let Some((_, revision)) = self.owed.drain(..count).next_back() {
            self.ticket.delivered(revision);
        }
    }

    fn sleep(&self) -> Duration {
        let now = self.clock.now().since_boot;
        let until = self.plan.look_again().map_or(LONGEST_SLEEP, |at| at.saturating_sub(now));
        // A millisecond at the least: the timer is no finer, and the plan's moment must be over when it is asked.
        until.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    fn note_run(&mut self, (index, view, ran): Ran) {
        let now = self.clock.now();
        let was_given_up = self.plan.is_given_up(index);
        self.plan.ended(now.since_boot, index, ran.is_ok(), crate::sync::jitter());
        match &ran {
            Ok(performed) => self.note_success(index, *performed, was_given_up),
            Err(error) => self.note_failure(index, error),
        }
        let (failures, retry_at) = (self.plan.failures(index), self.plan.retry_at(index));
        let given_up = self.plan.is_given_up(index);
        self.change_status(index, |status| {
            status.failures = failures;
            status.given_up = given_up;
            status.next_try = retry_at.map(|at| now.wall + at.saturating_sub(now.since_boot));
            match &ran {
                Ok(performed) => {
                    status.last_success = Some(now.wall);
                    status.serial = view.svids.first().map(|svid| svid.serial);
                    status.not_running = *performed == Performed::NotRunning;
                    status.last_error = None;
                }
                Err(error) => status.last_error = Some(with_causes(error)),
            }
        });
    }

    fn note_success(&self, index: usize, performed: Performed, was_given_up: bool) {
        let (hook, directory) = (self.name(index), self.hooks.directory.display());
        self.hooks.counts.succeeded();
        match performed {
            Performed::Done if was_given_up => tracing::info!(%hook, %directory, "a reload hook works again"),
            Performed::Done => tracing::debug!(%hook, %directory, "a reload hook has run"),
            Performed::NotRunning => tracing::info!(%hook, %directory, "nothing to reload: the program does not run, and reads the files when it starts"),
        }
    }

    fn note_failure(&self, index: usize, error: &HookError) {
        let (hook, directory) = (self.name(index), self.hooks.directory.display());
        let failures = self.plan.failures(index);
        self.hooks.counts.failed();
        let shown = if error.may_pass() { PASSING + 1..=PASSING + LOGGED } else { 1..=LOGGED };
        let text = with_causes(error);
        if shown.contains(&failures) {
            tracing::warn!(%hook, %directory, error = %text, code = %error.code(), hint = error.hint(), "a reload hook failed");
        } else {
            tracing::debug!(%hook, %directory, error = %text, "a reload hook failed");
        }
    }

    fn note_given_up(&self, index: usize) {
        let (hook, directory) = (self.name(index), self.hooks.directory.display());
        self.hooks.counts.given_up();
        tracing::error!(%hook, %directory, patience_s = self.hooks.policy.patience.as_secs(), "a reload hook is waited for no longer: the program may still use what it read before; the hook is tried on");
        self.change_status(index, |status| {
            status.given_up = true;
            if status.last_error.is_none() {
                status.last_error = Some("it has not ended yet".to_owned());
            }
        });
    }

    fn name(&self, index: usize) -> String {
        self.hooks.hooks.get(index).map(ToString::to_string).unwrap_or_default()
    }

    fn change_status(&self, index: usize, change: impl FnOnce(&mut HookStatus)) {
        self.status.send_modify(|status| {
            if let Some(hook) = status.hooks.get_mut(index) {
                change(hook);
            }
        });
    }
}

/// Runs one hook with what is in place.
async fn run(index: usize, hook: ReloadHook, hooks: Hooks, view: Arc<IdentityView>, changed: Changed) -> Ran {
    let performed = perform(&hook, hooks, &view, changed).await;
    (index, view, performed)
}

async fn perform(hook: &ReloadHook, hooks: Hooks, view: &IdentityView, changed: Changed) -> Result<Performed, HookError> {
    // A view has an SVID, and an SVID a leaf; without one nothing was delivered.
    let Some((svid, leaf)) = view.svids.first().and_then(|svid| Some((svid, svid.chain.first()?))) else {
        return Ok(Performed::NotRunning);
    };
    let (owner, group) = (hooks.owner, hooks.group);
    let owner = tokio::task::spawn_blocking(move || HookOwner::resolve(owner.as_deref(), group.as_deref()));
    let context = HookContext {
        spiffe_id: hooks.spiffe_id,
        directory: hooks.directory,
        serial: svid.serial,
        changed,
        leaf: leaf.to_vec().into(),
        owner: owner.await.map_err(|_| HookError::Stopped)??,
        attestor: hooks.attestor,
    };
    hook.perform(&context).await
}

#[cfg(test)]
mod tests;
