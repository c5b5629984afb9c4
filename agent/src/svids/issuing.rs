//! The loop that keeps every SVID fresh: it performs the rotation plan, one batch at a time.
//!
//! There is one such loop, so an SVID is never asked for twice at once. It runs also while there is no server: what ends is withdrawn.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::sleep_until_boot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;

use super::batch::{Issuer, Outcomes, SharedIssuers};
use super::cache::SvidCache;
use super::state::Outcome;
use crate::metrics::AgentMetrics;
use crate::node::ServerClient;
use crate::sync::Link;

/// How often the plan is asked when nothing is due: a step of the wall clock is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Keeps every SVID fresh.
pub(crate) struct Issuing {
    pub(crate) cache: SvidCache,
    /// The present client, of the identity that the node has now.
    pub(crate) client: watch::Receiver<Option<ServerClient>>,
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<AgentMetrics>,
}

impl Issuing {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.rotate() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn rotate(&mut self) {
        let policy = RotationPolicy::default();
        let mut issuers = SharedIssuers::default();
        loop {
            self.connected_or_away().await;
            let due = self.cache.due(&policy);
            if due.issue.is_empty() {
                self.wait(due.next).await;
                continue;
            }
            let outcomes = self.issue(due.issue, &mut issuers, policy).await;
            self.count(&outcomes);
            self.cache.settle(outcomes, Jitter::new(crate::sync::jitter()));
        }
    }

    /// Waits while the first connection is under way: an attempt now would fail, and subscribers be told so.
    async fn connected_or_away(&mut self) {
        // An error means that nobody reports the link any more, as at the end of the process.
        let _ = self.link.wait_for(|link| *link != Link::Connecting).await;
    }

    async fn issue(&self, entries: Vec<Arc<NodeEntry>>, issuers: &mut SharedIssuers, policy: RotationPolicy) -> Outcomes {
        let away = self.link.borrow().trouble();
        let client = self.client.borrow().clone();
        let bundle = self.cache.bundle().borrow().clone();
        match (away, client, bundle) {
            (None, Some(client), Some(bundle)) => {
                Issuer {
                    client,
                    bundle,
                    clock: self.clock.clone(),
                    policy,
                }
                .issue(entries, issuers)
                .await
            }
            (away, _, _) => {
                let reason = away.unwrap_or_else(|| "the server cannot be reached".to_owned());
                entries.into_iter().map(|entry| (entry, Outcome::Unreached(reason.clone()))).collect()
            }
        }
    }

    async fn wait(&mut self, next: Option<Duration>) {
        let latest = self.clock.now().since_boot.saturating_add(LOOK_AGAIN);
        tokio::select! {
            () = self.cache.work() => {}
            () = sleep_until_boot(&self.clock, next.unwrap_or(latest).min(latest)) => {}
        }
    }

    fn count(&self, outcomes: &Outcomes) {
        let issued = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Issued(_))).count();
        self.metrics.issued(issued, outcomes.len() - issued);
        if issued > 0 {
            tracing::info!(count = issued, "SVIDs issued");
        }
    }
}
