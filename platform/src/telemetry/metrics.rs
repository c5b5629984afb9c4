//! The registry of metrics.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

/// What comes before every name.
const PREFIX: &str = "troth";

/// The metrics of a process. Clones are the same registry.
///
/// Metric types are prometheus-client's own (`Counter`, `Family<Labels, Counter>`): register a clone, keep the other.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix(PREFIX))))
    }
}

impl Metrics {
    /// Registers a metric as `troth_NAME` (counters get `_total` when shown). `help` is a sentence without its full stop.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: &M) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric.clone());
    }

    /// Registers a metric and returns it.
    pub fn make<M: Metric + Clone + Default>(&self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.register(name, help, &metric);
        metric
    }

    /// Returns all metrics in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail; a metric whose own encoding did would leave the rest unsaid.
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(error = %error, "metrics cannot be shown");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_registered_metric_is_shown_with_its_value() {
        let metrics = Metrics::default();
        let issued: Counter = metrics.make("svids_issued", "X509-SVIDs signed");
        issued.inc_by(3);
        let text = metrics.render();
        assert!(text.contains("# HELP troth_svids_issued X509-SVIDs signed.\n"), "{text}");
        assert!(text.contains("troth_svids_issued_total 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
