//! What an earlier run sealed, taken up so that workloads are served before the server answers.

use std::sync::Arc;

use platform::clock::sleep_until_wall;
use platform::telemetry::HealthHandle;
use tokio_util::sync::CancellationToken;
use trust_domains::SpiffeId;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::restart::{MachineTag, RestartRefused};
use trust_domains::plan::rotation::HeldCredential;
use trust_domains::plan::validity::DEFAULT_CLOCK_SKEW;
use trust_domains::problem::{Coded, with_causes};

use crate::node::{Record, SealedRecords};
use crate::svids::{self, SavedUnreadable, SvidCache};

/// The health problem of a cache that is not served.
const HEALTH_KEY: &str = "cache";

/// Takes the sealed cache up.
pub(super) struct CacheOpener {
    pub(super) cache: SvidCache,
    pub(super) records: Arc<SealedRecords>,
    pub(super) clock: SharedClock,
    pub(super) health: HealthHandle,
    pub(super) node: SpiffeId,
    /// The times of the node's own SVID.
    pub(super) svid: HeldCredential,
    pub(super) machine: Option<MachineTag>,
}

/// Deletes what is kept over restarts: whoever wants no cache wants none that an earlier run left either.
pub(super) fn forget(records: &SealedRecords) {
    for record in [Record::Cache, Record::LastSeen] {
        if let Err(error) = records.remove(record) {
            tracing::warn!(error = %with_causes(&error), "the sealed cache of an earlier run could not be removed");
        }
    }
}

impl CacheOpener {
    /// Takes it up now, if it may be served now; returns why not, if a later moment or the server can change that.
    pub(super) fn open(&self) -> Option<RestartRefused> {
        let now = self.clock.now();
        // First: past the end of the node's own SVID nothing of it is shown.
        self.cache.vouch(self.svid);
        match svids::load(&self.records, &self.node, self.machine, now) {
            Ok(None) => None,
            Ok(Some(restored)) => {
                self.cache.restore(restored);
                if !self.svid.has_ended(now) {
                    self.health.set_ready();
                }
                tracing::info!(entries = self.cache.entry_count(), svids = self.cache.svid_count(), "took up the sealed cache");
                None
            }
            Err(SavedUnreadable::Refused(refused)) => {
                let (code, hint) = (refused.code(), refused.hint());
                tracing::warn!(error = %refused, %code, hint, "the sealed cache is not served");
                self.health
                    .set_problem(HEALTH_KEY, format!("the sealed cache is not served: {refused} ({code}); {hint}"));
                Some(refused)
            }
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "the sealed cache cannot be used; what it held comes from the server");
                None
            }
        }
    }

    /// Waits until a refused cache may be served after all, or is not needed any more: the server was first.
    pub(super) async fn open_later(self, refused: RestartRefused, ending: CancellationToken) {
        let mut shown = self.cache.shown();
        let mut refused = Some(refused);
        while let Some(why) = refused.take() {
            let clock_is_right = async {
                match why.until(DEFAULT_CLOCK_SKEW) {
                    Some(moment) => sleep_until_wall(&self.clock, moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = clock_is_right => refused = self.open(),
                // An error means that the cache is gone, as at the end of the process.
                _ = shown.wait_for(Option::is_some) => {}
                () = ending.cancelled() => return,
            }
        }
        self.health.clear(HEALTH_KEY);
    }
}
