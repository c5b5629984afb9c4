//! What is counted.

use std::sync::atomic::AtomicI64;

use platform::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::relay::{Octets, Traffic};

/// Counters of the proxy. Clones are the same counters.
#[derive(Debug, Clone)]
pub(super) struct ProxyMetrics {
    pub(super) connections: Family<Outcome, Counter>,
    pub(super) open: Family<Of, Gauge>,
    pub(super) octets: Family<Through, Counter>,
    pub(super) not_after: Gauge<i64, AtomicI64>,
}

/// A connection's end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) listener: String,
    pub(super) why: &'static str,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Of {
    pub(super) listener: String,
}

/// A listener and a way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Through {
    pub(super) listener: String,
    pub(super) way: &'static str,
}

impl ProxyMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            connections: metrics.make("proxy_connections", "Connections that ended, by why they did"),
            open: metrics.make("proxy_open_connections", "Connections that are open"),
            octets: metrics.make("proxy_octets", "Octets passed on, received from peers and sent to them"),
            not_after: metrics.make("proxy_identity_not_after_seconds", "The last second of the present certificate, since 1970"),
        }
    }

    /// Returns the counters of a new connection, which count for its listener too.
    pub(super) fn traffic_of(&self, listener: &str) -> Traffic {
        let way = |way| {
            let listener = listener.to_owned();
            Octets::counted_in(self.octets.get_or_create(&Through { listener, way }).clone())
        };
        Traffic {
            received: way("received"),
            sent: way("sent"),
        }
    }
}
