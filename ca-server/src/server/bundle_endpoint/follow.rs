//! The certificate files of the bundle endpoint, followed as they change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use platform::web::{FileIdentity, FileIdentityError, Look};
use trust_domains::problem::{Coded as _, with_causes};

use super::own::{EndpointDoubt, OwnEndpoint};

/// How often the files are looked at: a renewed certificate is shown within seconds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How many looks in a row must fail before it is told, while an earlier certificate is shown: certificate and key are two files, and are not replaced at one moment.
const PATIENCE: u32 = 2;

/// The part of health that says whether the files are good. Bad ones keep no server from starting: identities come first.
const PROBLEM: &str = "bundle_certificate";

/// The part of health that says whether partners will believe the endpoint under its URL.
const DOUBT: &str = "bundle_url";

/// Says once that the endpoint is served, and as what.
pub(super) fn tell_served(address: SocketAddr, own: Option<&OwnEndpoint>) {
    match own {
        Some(own) => tracing::info!(%address, url = %own.url, profile = %own.profile.name(), "the bundle endpoint is served"),
        None => tracing::info!(%address, "the bundle endpoint is served"),
    }
}

/// The certificate as it is followed.
pub(super) struct Following {
    identity: Arc<FileIdentity>,
    address: SocketAddr,
    own: Option<Arc<OwnEndpoint>>,
    health: HealthHandle,
    failed: u32,
}

impl Following {
    /// Looks at the files for the first time, before anything is said to be served; what keeps it from that is in health from the first moment.
    pub(super) fn start(identity: Arc<FileIdentity>, address: SocketAddr, own: Option<Arc<OwnEndpoint>>, health: HealthHandle) -> Self {
        let mut following = Self {
            identity,
            address,
            own,
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
                    (false, _) => tell_served(self.address, self.own.as_deref()),
                    (true, Look::Changed) => tracing::info!("the bundle endpoint shows a new certificate"),
                    (true, Look::Same) => {}
                }
                self.health.clear(PROBLEM);
                self.failed = 0;
                self.tell_doubt();
            }
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                self.tell(&error, served_before);
            }
        }
    }

    /// Says in health what a partner that was told the URL would stumble over. Of a URL that nobody configured nobody may have heard: relying parties of OpenID
    /// Connect know another.
    fn tell_doubt(&self) {
        let told = |own: &OwnEndpoint| own.doubt().filter(|doubt| own.is_configured || *doubt == EndpointDoubt::NobodyIsShownTheFiles);
        let Some(doubt) = self.own.as_deref().and_then(told) else {
            self.health.clear(DOUBT);
            return;
        };
        if self.health.set_problem(DOUBT, doubt.to_string()) {
            tracing::warn!(address = %self.address, %doubt, "partners will not believe the bundle endpoint");
        }
    }

    fn tell(&self, error: &FileIdentityError, served_before: bool) {
        if served_before && self.failed < PATIENCE {
            return;
        }
        let consequence = match served_before {
            true => "the bundle endpoint's new certificate is not taken, the one before stays",
            false => "the bundle endpoint shows no certificate of the web until its files are good",
        };
        let text = format!("{consequence}: {}; {}", with_causes(error), error.hint());
        if self.health.set_problem(PROBLEM, text) {
            tracing::warn!(address = %self.address, error = with_causes(error), code = %error.code(), "{consequence}");
        }
    }
}
