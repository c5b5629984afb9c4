//! File sinks, from their configuration to running.

use platform::telemetry::HealthHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::TrustDomain;
use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::wire::agent::SinkStatus;

use super::joined::joined;
use crate::admin::Sinks;
use crate::config::SinkConfig;
use crate::node::CurrentIdentity;
use crate::sinks::{FileSink, SinkSurroundings};

/// Starts the sinks once it is known which trust domain this is.
pub(super) struct SinkStarter {
    pub(super) around: SinkSurroundings,
    pub(super) health: HealthHandle,
    pub(super) sinks: Sinks,
    pub(super) tasks: TaskTracker,
}

impl SinkStarter {
    pub(super) async fn run(self, sinks: Vec<SinkConfig>, mut identity: watch::Receiver<Option<CurrentIdentity>>, ending: CancellationToken) {
        let Some(trust_domain) = joined(&mut identity, &ending).await else { return };
        for sink in sinks {
            match sink.resolve(&trust_domain) {
                Ok(config) => {
                    let sink = FileSink::new(config);
                    self.sinks.add(sink.status());
                    self.tasks.spawn(sink.run(self.around.clone(), ending.clone()));
                }
                Err(error) => self.tell(&sink, &trust_domain, &error),
            }
        }
    }
    /// Shows a sink that is not of this trust domain. Health has what the status says; an identity that has no SPIFFE ID here at all is shown by health alone.
    fn tell(&self, sink: &SinkConfig, trust_domain: &TrustDomain, error: &ParseSpiffeIdError) {
        tracing::error!(sink = %sink.id, %error, "a sink is not of this trust domain");
        let text = format!("delivers nothing: {error}; correct it: --sink ID=DIR or [[sink]]");
        let directory = sink.directory.display();
        match sink.id.expand_any(trust_domain) {
            Ok(spiffe_id) => {
                let mut status = SinkStatus::new(spiffe_id, directory.to_string());
                status.last_error = Some(text);
                self.sinks.add(watch::Sender::new(status).subscribe());
            }
            Err(_too_long) => {
                self.health.set_problem(&format!("sink {directory}"), format!("the sink {} {text}", sink.id));
            }
        }
    }
}
