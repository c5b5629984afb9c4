//! What the operator sees of the agent: health and gauges.

use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::Sinks;
use crate::endpoints::Endpoints;
use crate::jwt_svids::JwtCache;
use crate::metrics::{AgentMetrics, Levels};
use crate::node::{CurrentIdentity, IDENTITY_HEALTH, Standing};
use crate::svids::SvidCache;
use crate::sync::Link;
use crate::wit_svids::WitCache;

/// How often gauges and sink problems are brought up to date.
const OBSERVE: Duration = Duration::from_secs(2);

/// Health follows the link: ready with the first sync, degraded while the server is away.
pub(super) async fn follow_link(mut link: watch::Receiver<Link>, cache: SvidCache, health: HealthHandle, ending: CancellationToken) {
    const KEY: &str = "server";
    let mut shown = cache.shown();
    loop {
        match &*link.borrow_and_update() {
            Link::Open { .. } if shown.borrow_and_update().is_some() => {
                health.clear(KEY);
                health.clear(IDENTITY_HEALTH);
                health.set_ready();
            }
            Link::Open { .. } | Link::Connecting => {}
            // The problem is the identity's, and said as such.
            Link::Refused { .. } => {
                health.clear(KEY);
            }
            Link::Away { since, error } => {
                health.set_problem(
                    KEY,
                    format!("no sync stream since {since}: {error}; check the server and the way to it: troth health server"),
                );
            }
        }
        tokio::select! {
            changed = link.changed() => if changed.is_err() { return },
            changed = shown.changed() => if changed.is_err() { return },
            () = ending.cancelled() => return,
        }
    }
}

/// What is served ends with the node's own SVID, as that is renewed.
pub(super) async fn follow_identity(mut identity: watch::Receiver<Option<CurrentIdentity>>, cache: SvidCache, ending: CancellationToken) {
    loop {
        if let Some(identity) = &*identity.borrow_and_update() {
            cache.vouch(identity.times);
        }
        tokio::select! {
            changed = identity.changed() => if changed.is_err() { return },
            () = ending.cancelled() => return,
        }
    }
}

/// Brings gauges and the problems of sinks and renewal up to date.
pub(super) struct Observer {
    pub(super) cache: SvidCache,
    pub(super) tokens: JwtCache,
    pub(super) wits: Option<WitCache>,
    pub(super) standing: Standing,
    pub(super) endpoints: Endpoints,
    pub(super) health: HealthHandle,
    pub(super) sinks: Sinks,
    pub(super) metrics: Arc<AgentMetrics>,
    pub(super) trouble: watch::Receiver<Option<String>>,
}

impl Observer {
    pub(super) async fn run(self, ending: CancellationToken) {
        loop {
            self.observe();
            tokio::select! {
                () = tokio::time::sleep(OBSERVE) => {}
                () = ending.cancelled() => return,
            }
        }
    }

    fn observe(&self) {
        let streams = self.endpoints.open_streams();
        let partners = self.cache.partner_counts();
        let sinks = self.sinks.now();
        self.metrics.set(Levels {
            sinks: sinks.len(),
            sinks_failing: sinks.iter().filter(|sink| sink.last_error.is_some()).count(),
            partner_bundles: partners.held,
            partners_missing: partners.missing,
            entries: self.cache.entry_count(),
            svids: self.cache.svid_count(),
            jwt_svids: self.tokens.held(),
            wit_svids: self.wits.as_ref().map_or(0, WitCache::held),
            streams: streams.workload_api,
            sds_streams: streams.sds,
            broker_streams: streams.broker,
            connected: self.standing.link.borrow().is_open(),
            node_svid_end: self.standing.identity.borrow().as_ref().map_or(0, |identity| identity.expires_at.unix()),
        });
        self.problem("renewal", self.trouble.borrow().clone());
        for sink in sinks {
            let problem = sink
                .last_error
                .map(|error| format!("the sink of {} in {} failed: {error}", sink.spiffe_id, sink.directory));
            self.problem(&format!("sink {}", sink.directory), problem);
            for (index, hook) in sink.hooks.iter().enumerate() {
                let error = hook.last_error.as_deref().unwrap_or("it fails");
                let text = hook.given_up.then(|| {
                    format!(
                        "the program of {} in {} may not use what was delivered: {}: {error}",
                        sink.spiffe_id, sink.directory, hook.hook
                    )
                });
                self.problem(&format!("sink {} reload {index}", sink.directory), text);
            }
        }
    }

    fn problem(&self, key: &str, text: Option<String>) {
        match text {
            Some(text) => {
                self.health.set_problem(key, text);
            }
            None => {
                self.health.clear(key);
            }
        }
    }
}
