//! What hooks count.

use platform::telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;

/// What the hooks of all sinks count. A clone is the same counts.
#[derive(Debug, Clone, Default)]
pub struct ReloadCounts {
    succeeded: Counter,
    failed: Counter,
    given_up: Counter,
}

impl ReloadCounts {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            succeeded: metrics.make("agent_reload_hooks_succeeded", "Runs of reload hooks that succeeded"),
            failed: metrics.make("agent_reload_hooks_failed", "Runs of reload hooks that failed"),
            given_up: metrics.make("agent_reload_hooks_given_up", "Times that a reload hook was waited for no longer"),
        }
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.inc();
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }

    pub(super) fn given_up(&self) {
        self.given_up.inc();
    }
}
