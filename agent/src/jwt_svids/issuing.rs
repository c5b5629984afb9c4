//! JWT-SVIDs as the loop sees them that keeps every credential fresh.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use trust_domains::plan::rotation::{Jitter, RotationPolicy};

use super::batch::Issuer;
use super::cache::JwtCache;
use super::held::{Held, Order};
use crate::issuing::{Credentials, Due, Outcomes, Server, Upstream, after_each_change, keep_fresh, whenever_back, whenever_tainted};
use crate::metrics::AgentMetrics;
use crate::svids::{Replacer, SvidCache};

/// The JWT-SVIDs of the cache, to be issued for those who wait and to be kept fresh.
pub(crate) struct JwtIssuing {
    pub(crate) tokens: JwtCache,
    /// The list of tainted authorities, and who waits until no token of theirs is given out.
    pub(crate) replacer: Replacer,
    pub(crate) metrics: Arc<AgentMetrics>,
}

impl JwtIssuing {
    /// Runs until `stop`: issues tokens, drops those of entries that went, replaces those of tainted keys, and tries again when the server is back.
    pub(crate) async fn run(self, entries: SvidCache, upstream: Upstream, stop: CancellationToken) {
        let (tokens, link, tainted) = (self.tokens.clone(), upstream.link(), self.replacer.changes());
        tokio::select! {
            () = keep_fresh(self, upstream, stop) => {}
            () = after_each_change(entries, |entries| tokens.follow(entries)) => {}
            () = whenever_back(link, || tokens.retry_now()) => {}
            () = whenever_tainted(tainted, |list| tokens.taint(list)) => {}
        }
    }
}

impl Credentials for JwtIssuing {
    type Order = Order;
    type Held = Held;

    fn due(&self, policy: &RotationPolicy) -> Due<Order> {
        self.tokens.tell_replaced(&self.replacer);
        Due {
            issue: self.tokens.due(policy),
            next: self.tokens.next_look(),
        }
    }

    async fn work(&self) {
        self.tokens.work().await;
    }

    async fn issue(&mut self, server: Server, orders: Vec<Order>) -> Outcomes<Order, Held> {
        Issuer { server }.issue(orders).await
    }

    fn settle(&self, outcomes: Outcomes<Order, Held>, jitter: Jitter) {
        self.tokens.settle(outcomes, jitter);
    }

    fn count(&self, issued: usize, failed: usize) {
        self.metrics.jwt_issued(issued, failed);
        if issued > 0 {
            tracing::debug!(count = issued, "JWT-SVIDs issued");
        }
    }
}
