//! The bundle endpoint: its certificate files, followed as they change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use platform::web::{CertificateFiles, FileIdentity, FileIdentityError, Look};
use trust_domains::problem::{Coded as _, with_causes};

use crate::config::BundleEndpoint;

/// How often the files are looked at: a renewed certificate is shown within seconds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How many looks in a row must fail before it is told, while an earlier certificate is shown: certificate and key are two files, and are not replaced at one moment.
const PATIENCE: u32 = 2;

/// The part of health that this is.
const PROBLEM: &str = "bundle_certificate";

/// Returns what the endpoint shows. A certificate that cannot be read keeps no server from starting: identities come first.
pub(super) fn identity(endpoint: &BundleEndpoint) -> Arc<FileIdentity> {
    FileIdentity::new(CertificateFiles {
        certificate: endpoint.certificate.clone(),
        key: endpoint.key.clone(),
    })
}

/// The certificate as it is followed.
pub(super) struct Following {
    identity: Arc<FileIdentity>,
    address: SocketAddr,
    health: HealthHandle,
    failed: u32,
}

impl Following {
    /// Looks at the files for the first time, before anything is said to be served; what keeps it from that is in health from the first moment.
    pub(super) fn start(identity: Arc<FileIdentity>, address: SocketAddr, health: HealthHandle) -> Self {
        let mut following = Self {
            identity,
            address,
            health,
            failed: 0,
        };
        following.look();
        following
    }

    /// Looks at the files until the server ends, and says in health when they are not good.
    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let served_before = self.identity.shows_one();
        match self.identity.look() {
            Ok(look) => {
                match (served_before, look) {
                    (false, _) => tracing::info!(address = %self.address, "the bundle endpoint is served"),
                    (true, Look::Changed) => tracing::info!("the bundle endpoint shows a new certificate"),
                    (true, Look::Same) => {}
                }
                self.health.clear(PROBLEM);
                self.failed = 0;
            }
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                self.tell(&error, served_before);
            }
        }
    }

    fn tell(&self, error: &FileIdentityError, served_before: bool) {
        if served_before && self.failed < PATIENCE {
            return;
        }
        let consequence = match served_before {
            true => "the bundle endpoint's new certificate is not taken, the one before stays",
            false => "the bundle endpoint serves nothing until its certificate files are good",
        };
        let text = format!("{consequence}: {}; {}", with_causes(error), error.hint());
        if self.health.set_problem(PROBLEM, text) {
            tracing::warn!(address = %self.address, error = with_causes(error), code = %error.code(), "{consequence}");
        }
    }
}
