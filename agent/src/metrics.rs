//! What the agent counts.

use platform::telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::reload::ReloadCounts;

/// The agent's metrics. A clone is the same metrics.
#[derive(Debug, Clone)]
pub struct AgentMetrics {
    issued: Counter,
    failed: Counter,
    entries: Gauge,
    svids: Gauge,
    streams: Gauge,
    sds_streams: Gauge,
    sds: SdsCounts,
    broker_streams: Gauge,
    broker: BrokerCounts,
    reload: ReloadCounts,
    jwt_issued: Counter,
    jwt_failed: Counter,
    jwt_svids: Gauge,
    wit_issued: Counter,
    wit_failed: Counter,
    wit_svids: Gauge,
    partner_bundles: Gauge,
    partners_missing: Gauge,
    sinks: Gauge,
    sinks_failing: Gauge,
    connected: Gauge,
    node_svid_end: Gauge,
}

/// What the gauges show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels {
    /// Entries of this node.
    pub entries: usize,
    /// Valid SVIDs held.
    pub svids: usize,
    /// Open Workload API streams.
    pub streams: usize,
    /// Open secret discovery streams.
    pub sds_streams: usize,
    /// Open Broker API streams.
    pub broker_streams: usize,
    /// Valid JWT-SVIDs held.
    pub jwt_svids: usize,
    /// Valid WIT-SVIDs held.
    pub wit_svids: usize,
    /// Partners that entries name and whose bundle is held.
    pub partner_bundles: usize,
    /// Partners that entries name and whose bundle is not.
    pub partners_missing: usize,
    /// File sinks.
    pub sinks: usize,
    /// File sinks that could not deliver, or deliver less than they should.
    pub sinks_failing: usize,
    /// Whether the sync stream is open.
    pub connected: bool,
    /// When the node SVID ends, in seconds since 1970.
    pub node_svid_end: i64,
}

impl AgentMetrics {
    /// Registers the agent's metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            issued: metrics.make("agent_svids_issued", "X509-SVIDs obtained from the server"),
            failed: metrics.make("agent_svid_requests_failed", "X509-SVIDs asked for and not obtained"),
            entries: metrics.make("agent_entries", "Entries of this node"),
            svids: metrics.make("agent_svids", "Valid X509-SVIDs held"),
            streams: metrics.make("agent_workload_streams", "Open Workload API streams"),
            sds_streams: metrics.make("agent_sds_streams", "Open secret discovery streams"),
            sds: SdsCounts {
                pushed: metrics.make("agent_sds_responses", "Secret discovery responses sent"),
                rejected: metrics.make("agent_sds_rejections", "Secret discovery responses that clients rejected"),
            },
            broker_streams: metrics.make("agent_broker_streams", "Open Broker API streams"),
            broker: BrokerCounts {
                granted: metrics.make("agent_broker_references_granted", "Workload references of brokers that were granted"),
                refused: metrics.make("agent_broker_references_refused", "Workload references of brokers that were refused"),
            },
            reload: ReloadCounts::new(metrics),
            jwt_issued: metrics.make("agent_jwt_svids_issued", "JWT-SVIDs obtained from the server"),
            jwt_failed: metrics.make("agent_jwt_svid_requests_failed", "JWT-SVIDs asked for and not obtained"),
            jwt_svids: metrics.make("agent_jwt_svids", "Valid JWT-SVIDs held"),
            wit_issued: metrics.make("agent_wit_svids_issued", "WIT-SVIDs obtained from the server"),
            wit_failed: metrics.make("agent_wit_svid_requests_failed", "WIT-SVIDs asked for and not obtained"),
            wit_svids: metrics.make("agent_wit_svids", "Valid WIT-SVIDs held"),
            partner_bundles: metrics.make(
                "agent_partner_bundles",
                "Partners that entries of this node federate with and whose bundle is held",
            ),
            partners_missing: metrics.make(
                "agent_partners_missing",
                "Partners that entries of this node federate with and whose bundle is not here",
            ),
            sinks: metrics.make("agent_sinks", "File sinks"),
            sinks_failing: metrics.make("agent_sinks_failing", "File sinks that cannot deliver, or deliver less than they should"),
            connected: metrics.make("agent_connected", "1 while the sync stream is open"),
            node_svid_end: metrics.make("agent_node_svid_end_timestamp_seconds", "When the node's own SVID ends"),
        }
    }

    /// Returns what secret discovery counts.
    #[must_use]
    pub fn sds(&self) -> SdsCounts {
        self.sds.clone()
    }

    /// Returns what reload hooks count.
    #[must_use]
    pub fn reload(&self) -> ReloadCounts {
        self.reload.clone()
    }

    /// Returns what the Broker API counts.
    #[must_use]
    pub fn broker(&self) -> BrokerCounts {
        self.broker.clone()
    }

    /// Counts a batch.
    pub(crate) fn issued(&self, issued: usize, failed: usize) {
        self.issued.inc_by(issued as u64);
        self.failed.inc_by(failed as u64);
    }

    /// Counts a batch of tokens.
    pub(crate) fn jwt_issued(&self, issued: usize, failed: usize) {
        self.jwt_issued.inc_by(issued as u64);
        self.jwt_failed.inc_by(failed as u64);
    }

    /// Counts a batch of WIT-SVIDs.
    pub(crate) fn wit_issued(&self, issued: usize, failed: usize) {
        self.wit_issued.inc_by(issued as u64);
        self.wit_failed.inc_by(failed as u64);
    }

    /// Sets the gauges.
    pub(crate) fn set(&self, levels: Levels) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.entries.set(signed(levels.entries));
        self.svids.set(signed(levels.svids));
        self.streams.set(signed(levels.streams));
        self.sds_streams.set(signed(levels.sds_streams));
        self.broker_streams.set(signed(levels.broker_streams));
        self.jwt_svids.set(signed(levels.jwt_svids));
        self.wit_svids.set(signed(levels.wit_svids));
        self.partner_bundles.set(signed(levels.partner_bundles));
        self.partners_missing.set(signed(levels.partners_missing));
        self.sinks.set(signed(levels.sinks));
        self.sinks_failing.set(signed(levels.sinks_failing));
        self.connected.set(i64::from(levels.connected));
        self.node_svid_end.set(levels.node_svid_end);
    }
}

/// What secret discovery counts. A clone is the same counts.
#[derive(Debug, Clone, Default)]
pub struct SdsCounts {
    pushed: Counter,
    rejected: Counter,
}

impl SdsCounts {
    /// Counts a response.
    pub(crate) fn pushed(&self) {
        self.pushed.inc();
    }

    /// Counts a response that a client rejected.
    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }
}

/// What the Broker API counts. A clone is the same counts.
#[derive(Debug, Clone, Default)]
pub struct BrokerCounts {
    granted: Counter,
    refused: Counter,
}

impl BrokerCounts {
    /// Counts a reference that was granted.
    pub(crate) fn granted(&self) {
        self.granted.inc();
    }

    /// Counts a reference that was refused.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }
}
