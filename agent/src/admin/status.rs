//! How the agent is.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use trust_domains::wire::agent::{AgentStatus, SinkStatus};

use super::Admin;
use crate::sync::Link;
use crate::wit_svids::WitCache;

/// The state of every file sink. A clone is the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sinks(Arc<Mutex<Vec<watch::Receiver<SinkStatus>>>>);

impl Sinks {
    /// Adds a sink.
    pub(crate) fn add(&self, status: watch::Receiver<SinkStatus>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    /// Returns how each sink is now.
    pub(crate) fn now(&self) -> Vec<SinkStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|status| status.borrow().clone())
            .collect()
    }
}

impl Admin {
    /// Returns how the agent is now.
    pub(crate) fn status(&self) -> AgentStatus {
        let identity = self.standing.identity.borrow().clone();
        let (connected, since, last_error) = match self.standing.link.borrow().clone() {
            Link::Open { since } => (true, Some(since), None),
            Link::Connecting => (false, None, None),
            Link::Away { since, error } | Link::Refused { since, error } => (false, Some(since), Some(error)),
        };
        let streams = self.endpoints.open_streams();
        AgentStatus {
            spiffe_id: identity.as_ref().map(|identity| identity.spiffe_id.clone()),
            server: identity.as_ref().map(|identity| identity.server.to_string()),
            connected,
            since,
            expires_at: identity.as_ref().map(|identity| identity.expires_at),
            revision: self.cache.resume_after(),
            entries: self.cache.entry_count(),
            svids: self.cache.svid_count(),
            jwt_svids: self.tokens.held(),
            wit_svids: self.wits.as_ref().map_or(0, WitCache::held),
            streams: streams.workload_api,
            sds_streams: streams.sds,
            workload_socket: self.workload_socket.clone(),
            sds_socket: self.sds_socket.clone(),
            broker_streams: streams.broker,
            broker_addresses: self.broker_addresses.clone(),
            sinks: self.sinks.now(),
            last_error,
        }
    }
}
