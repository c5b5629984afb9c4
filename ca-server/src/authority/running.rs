//! The loop that keeps the authorities as the plan wants them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trust_domains::Timestamp;
use trust_domains::plan::authority::{AuthoritiesState, AuthorityKind, AuthorityPlan, AuthorityProblem, AuthorityState, plan};
use trust_domains::problem::Coded as _;

use super::authorities::Authorities;
use super::loading::{LoadAuthoritiesError, StoredTime, read_set, stored_time_key};
use super::order_record::OrderRecord;
use super::set::AuthoritySet;
use super::steps::StepError;
use crate::store::Commit;

/// How often the plan is asked; design: no loop sleeps longer without looking at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often the time is stored: a clock that was set back is noticed to this plus the skew after a restart.
const STORE_TIME_EVERY: Duration = Duration::from_secs(60);

/// How soon it is asked again while no token can be signed, or an order goes on: the nodes are about to acknowledge what it waits for.
const LOOK_SOON: Duration = Duration::from_secs(1);

/// How soon it is asked again in an emergency: three acknowledgements of connected nodes follow each other, and each may come within milliseconds.
const LOOK_AT_ONCE: Duration = Duration::from_millis(100);

/// How many steps one look takes. An emergency that waits for nobody takes a dozen, and a start after months forgets as many; a plan that never rests must
/// not spin.
const MOST_STEPS: usize = 64;

impl Authorities {
    /// Performs the plan whenever there is something to do, until shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, code = %error.code(), cause = error.cause(), "a step in the life of an authority failed; it is tried again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    /// Asks the plan and performs it until nothing is left to do; returns what is wrong then.
    ///
    /// # Errors
    /// When a step cannot be performed: everything before it is done, and the next look goes on from there.
    pub async fn look(&self) -> Result<(), StepError> {
        let _one_at_a_time = self.looking.lock().await;
        // Another replica may have gone on meanwhile.
        self.reload().await?;
        for _ in 0..MOST_STEPS {
            let due = self.plan();
            self.publish_problems(due.problems);
            // One at a time: another replica may have committed since, and then the rest of the plan was about something else.
            let Some(next) = due.actions.into_iter().next() else { break };
            match self.perform(next).await {
                Ok(()) => {}
                Err(error) if error.is_conflict() => {
                    tracing::info!("another replica went first with the authorities");
                    self.reload().await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.store_time().await
    }

    fn pause(&self) -> Duration {
        let (set, now) = (self.set(), self.clock.now().wall);
        if set.running().any(|running| running.order().is_emergency()) {
            return LOOK_AT_ONCE;
        }
        let wit = self.settings.policy.wit().map(|_| AuthorityKind::Wit);
        let mut signed = [AuthorityKind::Jwt].into_iter().chain(wit);
        match signed.all(|kind| set.token_key(kind, now).is_some()) && set.running().next().is_none() {
            true => LOOK_EVERY,
            false => LOOK_SOON,
        }
    }

    /// Returns the authorities as the plan sees them.
    pub(super) fn states(&self, now: Timestamp) -> Vec<AuthorityState> {
        self.set().states(self.witness.as_ref(), &self.partners_seen, now)
    }

    /// Returns everything that the plan looks at.
    pub(super) fn state(&self, now: Timestamp) -> AuthoritiesState {
        AuthoritiesState {
            authorities: self.states(now),
            clock: self.guard.evidence(),
            orders: self.set().running().map(OrderRecord::order).collect(),
            crls_in_use: self.crls_in_use.load(Ordering::Relaxed),
        }
    }

    fn plan(&self) -> AuthorityPlan {
        let now = self.clock.now();
        self.guard.judge(now);
        plan(now, &self.state(now.wall), &self.settings.policy)
    }

    fn publish_problems(&self, problems: Vec<AuthorityProblem>) {
        self.problems.send_if_modified(|published| {
            let changed = **published != *problems;
            if changed {
                problems.iter().for_each(|problem| tracing::warn!(problem = problem.word(), "{problem}"));
                *published = problems.into();
            }
            changed
        });
    }

    pub(super) fn set(&self) -> Arc<AuthoritySet> {
        self.set.load_full()
    }

    /// Reads the authorities again after a commit, and publishes what changed.
    pub(super) async fn reload(&self) -> Result<(), LoadAuthoritiesError> {
        let set = read_set(&self.store, &self.records, &self.keys, Some(&self.set())).await?;
        let bundle = set.bundle(&self.trust_domain, self.settings.refresh_hint)?;
        let tainted = set.tainted();
        self.set.store(Arc::new(set));
        self.bundle.send_if_modified(|published| {
            let changed = **published != bundle;
            if changed {
                *published = Arc::new(bundle);
            }
            changed
        });
        self.tainted.send_if_modified(|published| {
            let changed = **published != *tainted;
            if changed {
                *published = tainted.into();
            }
            changed
        });
        self.wake_upstream.notify_one();
        Ok(())
    }

    async fn store_time(&self) -> Result<(), StepError> {
        let now = self.clock.now();
        let is_old = self.guard.evidence().last_stored.is_none_or(|stored| stored + STORE_TIME_EVERY <= now.wall);
        if !is_old || !self.guard.may_store(now) {
            return Ok(());
        }
        self.commit_time(now.wall).await?;
        self.guard.note_stored(now.wall);
        Ok(())
    }

    pub(super) async fn commit_time(&self, at: Timestamp) -> Result<(), StepError> {
        let mut commit = Commit::new("time_stored");
        commit.writes.push(self.records.put(stored_time_key(), &StoredTime { at })?);
        self.store.commit(commit).await?;
        Ok(())
    }
}
