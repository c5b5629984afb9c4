//! The loop that issues what callers wait for and the plan renews, one batch at a time: what is wanted meanwhile makes the next batch.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::sleep_until_boot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};

use super::batch::{Issuer, all};
use super::cache::JwtCache;
use super::state::{Order, Outcome};
use crate::metrics::AgentMetrics;
use crate::node::ServerClient;
use crate::svids::SvidCache;
use crate::sync::Link;

/// How often the plan is asked when nothing is due: a step of the wall clock is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Issues tokens.
pub(crate) struct JwtIssuing {
    pub(crate) tokens: JwtCache,
    pub(crate) cache: SvidCache,
    /// The present client, of the identity that the node has now.
    pub(crate) client: watch::Receiver<Option<ServerClient>>,
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<AgentMetrics>,
}

impl JwtIssuing {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let (tokens, entries, link) = (self.tokens.clone(), self.cache.clone(), self.link.clone());
        tokio::select! {
            () = self.rotate() => {}
            () = follow_entries(&tokens, &entries) => {}
            () = follow_link(&tokens, link) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn rotate(&mut self) {
        let policy = RotationPolicy::default();
        loop {
            // Before the first connection an attempt would fail, and callers be told so. An error is the end of the process.
            let _ = self.link.wait_for(|link| *link != Link::Connecting).await;
            let orders = self.tokens.due(&policy);
            if orders.is_empty() {
                self.wait().await;
                continue;
            }
            let outcomes = self.issue(orders, policy).await;
            self.count(&outcomes);
            self.tokens.settle(outcomes, Jitter::new(crate::sync::jitter()));
        }
    }

    async fn issue(&self, orders: Vec<Order>, policy: RotationPolicy) -> Vec<(Order, Outcome)> {
        let away = self.link.borrow().trouble();
        let client = self.client.borrow().clone();
        let bundle = self.cache.bundle().borrow().clone();
        match (away, client, bundle) {
            (None, Some(client), Some(bundle)) => {
                let issuer = Issuer {
                    client,
                    bundle,
                    clock: self.clock.clone(),
                    policy,
                };
                issuer.issue(orders).await
            }
            (away, _, _) => {
                let reason = away.unwrap_or_else(|| "the server cannot be reached".to_owned());
                all(orders, &reason, Outcome::Unreached)
            }
        }
    }

    async fn wait(&self) {
        let latest = self.clock.now().since_boot.saturating_add(LOOK_AGAIN);
        let next = self.tokens.next_look().unwrap_or(latest);
        tokio::select! {
            () = self.tokens.work() => {}
            () = sleep_until_boot(&self.clock, next.min(latest)) => {}
        }
    }

    fn count(&self, outcomes: &[(Order, Outcome)]) {
        let issued = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Issued(_))).count();
        self.metrics.jwt_issued(issued, outcomes.len() - issued);
        if issued > 0 {
            tracing::debug!(count = issued, "JWT-SVIDs issued");
        }
    }
}

/// Drops tokens with their entries, also while a batch is under way.
async fn follow_entries(tokens: &JwtCache, entries: &SvidCache) {
    let mut shown = entries.shown();
    while shown.changed().await.is_ok() {
        shown.borrow_and_update();
        tokens.follow(entries);
    }
}

/// Lets failed attempts be made again when the server is back.
async fn follow_link(tokens: &JwtCache, mut link: watch::Receiver<Link>) {
    while link.changed().await.is_ok() {
        if link.borrow_and_update().is_open() {
            tokens.retry_now();
        }
    }
}
