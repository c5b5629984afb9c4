//! X509-SVIDs as the loop sees them that keeps every credential fresh.

use std::sync::Arc;

use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;

use super::batch::{Issuer, SharedIssuers};
use super::cache::SvidCache;
use super::slot::Held;
use crate::issuing::{Credentials, Due, Outcomes, Server};
use crate::metrics::AgentMetrics;

/// The X509-SVIDs of the cache, to be kept fresh.
pub(crate) struct Issuing {
    cache: SvidCache,
    metrics: Arc<AgentMetrics>,
    issuers: SharedIssuers,
}

impl Issuing {
    pub(crate) fn new(cache: SvidCache, metrics: Arc<AgentMetrics>) -> Self {
        Self {
            cache,
            metrics,
            issuers: SharedIssuers::default(),
        }
    }
}

impl Credentials for Issuing {
    type Order = Arc<NodeEntry>;
    type Held = Held;

    fn due(&self, policy: &RotationPolicy) -> Due<Self::Order> {
        self.cache.due(policy)
    }

    async fn work(&self) {
        self.cache.work().await;
    }

    async fn issue(&mut self, server: Server, entries: Vec<Self::Order>) -> Outcomes<Self::Order, Held> {
        Issuer { server }.issue(entries, &mut self.issuers).await
    }

    fn settle(&self, outcomes: Outcomes<Self::Order, Held>, jitter: Jitter) {
        self.cache.settle(outcomes, jitter);
    }

    fn count(&self, issued: usize, failed: usize) {
        self.metrics.issued(issued, failed);
        if issued > 0 {
            tracing::info!(count = issued, "SVIDs issued");
        }
    }
}
