//! What the server counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use trust_domains::problem::Code;

/// A refusal by its stable code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    call: &'static str,
    code: &'static str,
}

/// The partners that stand so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    state: &'static str,
}

/// The fetches that ended so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchOutcome {
    outcome: &'static str,
}

/// The server's counters. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    issued: Counter,
    jwts: Counter,
    wits: Counter,
    refused: Family<Refusal, Counter>,
    attested: Counter,
    renewed: Counter,
    keys_copied: Counter,
    messages: Counter,
    streams: Gauge,
    entries: Gauge,
    nodes: Gauge,
    revocation_rules: Gauge,
    revoked_serials: Gauge,
    crl_bytes: Gauge,
    crl_signing: Histogram,
    partners: Family<Standing, Gauge>,
    partner_fetches: Family<FetchOutcome, Counter>,
    partner_crl_fetches: Family<FetchOutcome, Counter>,
}

/// From a short list to one of 100,000 serials on a slow machine, in seconds.
const SIGNING_BUCKETS: [f64; 8] = [0.000_1, 0.000_5, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0];

impl Metrics {
    /// Returns counters that are shown with the process's metrics.
    #[must_use]
    pub fn registered(metrics: &platform::telemetry::Metrics) -> Self {
        let counters = Self::default();
        metrics.register("server_svids_issued", "X509-SVIDs issued to workloads", &counters.issued);
        metrics.register("server_jwt_svids_issued", "JWT-SVIDs issued to workloads and operators", &counters.jwts);
        metrics.register("server_wit_svids_issued", "WIT-SVIDs issued to workloads and operators", &counters.wits);
        metrics.register(
            "server_refusals",
            "Calls and keys that were refused, by call and stable code",
            &counters.refused,
        );
        metrics.register("server_nodes_attested", "Node SVIDs issued by attestation", &counters.attested);
        metrics.register("server_nodes_renewed", "Node SVIDs renewed", &counters.renewed);
        metrics.register(
            "node_key_copied",
            "Proofs by a key that a node had given up: its key was copied, and the node is banned",
            &counters.keys_copied,
        );
        metrics.register("server_sync_messages", "Messages sent on sync streams", &counters.messages);
        metrics.register("server_sync_streams", "Sync streams open now", &counters.streams);
        metrics.register("server_entries", "Registration entries", &counters.entries);
        metrics.register("server_nodes", "Nodes on record", &counters.nodes);
        metrics.register("server_revocation_rules", "Rules of revocation that are not over", &counters.revocation_rules);
        metrics.register(
            "server_revoked_serials",
            "Certificates that are revoked and have not ended",
            &counters.revoked_serials,
        );
        metrics.register("server_crl_bytes", "Bytes of the revocation lists that are out", &counters.crl_bytes);
        metrics.register(
            "server_crl_signing_seconds",
            "Time to make and sign the revocation lists that changed",
            &counters.crl_signing,
        );
        metrics.register(
            "server_partners",
            "Relationships with partner trust domains, by how it stands with their bundles",
            &counters.partners,
        );
        metrics.register(
            "server_partner_fetches",
            "Fetches of partners' bundles, by what came of them: taken, same, or the stable code of the failure",
            &counters.partner_fetches,
        );
        metrics.register(
            "server_partner_crl_fetches",
            "Fetches of partners' revocation lists, by what came of them: taken, same, or the stable code of the failure",
            &counters.partner_crl_fetches,
        );
        counters
    }

    /// Notes how many partners stand so.
    pub fn partners(&self, state: &'static str, count: usize) {
        self.partners.get_or_create(&Standing { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a fetch from a partner by what came of it.
    pub fn partner_fetched(&self, outcome: &'static str) {
        self.partner_fetches.get_or_create(&FetchOutcome { outcome }).inc();
    }

    /// Counts a fetch of a partner's revocation lists by what came of it.
    pub fn partner_crls_fetched(&self, outcome: &'static str) {
        self.partner_crl_fetches.get_or_create(&FetchOutcome { outcome }).inc();
    }

    /// Counts issued certificates.
    pub fn issued(&self, count: usize) {
        self.issued.inc_by(count as u64);
    }

    /// Counts issued JWT-SVIDs.
    pub fn jwts_issued(&self, count: usize) {
        self.jwts.inc_by(count as u64);
    }

    /// Counts issued WIT-SVIDs.
    pub fn wits_issued(&self, count: usize) {
        self.wits.inc_by(count as u64);
    }

    /// Counts a refusal.
    pub fn refused(&self, call: &'static str, code: Code) {
        self.refused.get_or_create(&Refusal { call, code: code.word() }).inc();
    }

    /// Counts an attestation.
    pub fn attested(&self) {
        self.attested.inc();
    }

    /// Counts a renewal.
    pub fn renewed(&self) {
        self.renewed.inc();
    }

    /// Counts a proof that a node's key was copied.
    pub fn key_copied(&self) {
        self.keys_copied.inc();
    }

    /// Counts a message of a stream.
    pub fn message(&self) {
        self.messages.inc();
    }

    /// Counts a stream for as long as the value lives.
    #[must_use]
    pub fn stream(&self) -> StreamCounted {
        self.streams.inc();
        StreamCounted(self.streams.clone())
    }

    /// Notes how many rules of revocation there are, and how many certificates they concern.
    pub fn revocations(&self, rules: usize, serials: usize) {
        self.revocation_rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.revoked_serials.set(i64::try_from(serials).unwrap_or(i64::MAX));
    }

    /// Notes that revocation lists were signed.
    pub fn crls_signed(&self, bytes: usize, took: Duration) {
        self.crl_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.crl_signing.observe(took.as_secs_f64());
    }

    /// Notes how many entries and nodes there are.
    pub fn sizes(&self, entries: usize, nodes: usize) {
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            issued: Counter::default(),
            jwts: Counter::default(),
            wits: Counter::default(),
            refused: Family::default(),
            attested: Counter::default(),
            renewed: Counter::default(),
            messages: Counter::default(),
            streams: Gauge::default(),
            entries: Gauge::default(),
            nodes: Gauge::default(),
            keys_copied: Counter::default(),
            revocation_rules: Gauge::default(),
            revoked_serials: Gauge::default(),
            crl_bytes: Gauge::default(),
            crl_signing: Histogram::new(SIGNING_BUCKETS),
            partners: Family::default(),
            partner_fetches: Family::default(),
            partner_crl_fetches: Family::default(),
        }
    }
}

/// An open stream, counted.
#[derive(Debug)]
pub struct StreamCounted(Gauge);

impl Drop for StreamCounted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
