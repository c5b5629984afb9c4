//! The bundle endpoint: its certificate files, followed as they change.

use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use platform::web::{CertificateFiles, FileIdentity, Look};
use trust_domains::problem::{Coded as _, with_causes};

use crate::config::BundleEndpoint;

/// How often the files are looked at: a renewed certificate is shown within seconds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How many looks in a row must fail before it is told: certificate and key are two files, and are not replaced at one moment.
const PATIENCE: u32 = 2;

/// Returns what the endpoint shows. A certificate that cannot be read keeps no server from starting: identities come first.
pub(super) fn identity(endpoint: &BundleEndpoint) -> Arc<FileIdentity> {
    FileIdentity::new(CertificateFiles {
        certificate: endpoint.certificate.clone(),
        key: endpoint.key.clone(),
    })
}

/// Looks at the files until the server ends, and says in health when they are not good.
pub(super) async fn follow(identity: Arc<FileIdentity>, health: HealthHandle) {
    let mut failed = 0;
    loop {
        failed = match identity.look() {
            Ok(look) => {
                if look == Look::Changed {
                    tracing::info!("the bundle endpoint shows a new certificate");
                }
                health.clear("bundle_certificate");
                0
            }
            Err(error) => {
                let text = format!(
                    "the bundle endpoint's certificate is not taken, the one before stays: {}; {}",
                    with_causes(&error),
                    error.hint()
                );
                if failed + 1 >= PATIENCE && health.set_problem("bundle_certificate", text) {
                    tracing::warn!(error = with_causes(&error), code = %error.code(), "the bundle endpoint's certificate files are not good; those before stay");
                }
                failed.saturating_add(1)
            }
        };
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
