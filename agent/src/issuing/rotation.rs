//! The loop that performs the rotation plan, one batch at a time: nothing is asked for twice at once, and what is wanted meanwhile makes the next batch.

use std::time::Duration;

use platform::clock::sleep_until_boot;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};

use super::outcome::{Outcome, Outcomes, all};
use super::upstream::{Server, Upstream};

/// How often the plan is asked when nothing is due: a step of the wall clock is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What is to be issued now.
#[derive(Debug)]
pub(crate) struct Due<O> {
    /// What to ask for, at most a batch.
    pub(crate) issue: Vec<O>,
    /// When to look again, since boot; `None` for when something changes.
    pub(crate) next: Option<Duration>,
}

/// Credentials of one kind, to be kept fresh.
pub(crate) trait Credentials: Send {
    /// What one of them is asked for by.
    type Order: Send;
    /// One of them, with its times.
    type Held: Send;

    /// Withdraws what ended, and returns what is to be issued now.
    fn due(&self, policy: &RotationPolicy) -> Due<Self::Order>;

    /// Waits until something may have to be issued.
    fn work(&self) -> impl Future<Output = ()> + Send;

    /// Asks the server for a batch.
    fn issue(&mut self, server: Server, orders: Vec<Self::Order>) -> impl Future<Output = Outcomes<Self::Order, Self::Held>> + Send;

    /// Takes the outcomes of a batch.
    fn settle(&self, outcomes: Outcomes<Self::Order, Self::Held>, jitter: Jitter);

    /// Counts a batch.
    fn count(&self, issued: usize, failed: usize);
}

/// Keeps credentials fresh until `stop`. It runs also while there is no server: what ends is withdrawn.
pub(crate) async fn keep_fresh(mut credentials: impl Credentials, mut upstream: Upstream, stop: CancellationToken) {
    tokio::select! {
        () = rotate(&mut credentials, &mut upstream) => {}
        () = stop.cancelled() => {}
    }
}

async fn rotate(credentials: &mut impl Credentials, upstream: &mut Upstream) {
    let policy = RotationPolicy::default();
    loop {
        upstream.connected_or_away().await;
        let due = credentials.due(&policy);
        if due.issue.is_empty() {
            wait(credentials, &upstream.clock, due.next).await;
            continue;
        }
        upstream.node_renewed_first().await;
        let outcomes = match upstream.server(policy) {
            Ok(server) => credentials.issue(server, due.issue).await,
            Err(reason) => all(due.issue, &reason, Outcome::Unreached),
        };
        let issued = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Issued(_))).count();
        credentials.count(issued, outcomes.len() - issued);
        credentials.settle(outcomes, Jitter::new(crate::sync::jitter()));
    }
}

async fn wait(credentials: &impl Credentials, clock: &SharedClock, next: Option<Duration>) {
    let latest = clock.now().since_boot.saturating_add(LOOK_AGAIN);
    tokio::select! {
        () = credentials.work() => {}
        () = sleep_until_boot(clock, next.unwrap_or(latest).min(latest)) => {}
    }
}
