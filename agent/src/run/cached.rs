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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trust_domains::Timestamp;
    use trust_domains::clock::ManualClock;
    use trust_domains::plan::rotation::Jitter;
    use trust_domains::wire::admin::HealthState;

    use super::*;
    use crate::node::SealedRecords;
    use crate::svids::testing::{TTL, entry, issue_all, sealed_by, snapshot};

    const HERE: Option<MachineTag> = Some(MachineTag([7; 16]));

    /// What an agent begins with after a run that sealed a cache at this moment on this machine.
    struct Begun {
        clock: ManualClock,
        opener: CacheOpener,
        _dir: tempfile::TempDir,
    }

    fn begun(machine: Option<MachineTag>, later: i64) -> Begun {
        let before = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("agent");
        platform::files::ensure_private_dir(&data, 0o700).unwrap();
        let records = SealedRecords::open(&data, &platform::sealing::KeySourceSpec::File(dir.path().join("key"))).unwrap();
        let node: SpiffeId = "spiffe://td.example/troth/agent/join_token/web-1".parse().unwrap();
        let cache = SvidCache::new(before.shared());
        cache.apply(snapshot(7, vec![entry("a", 1), entry("b", 2)]));
        assert_eq!(issue_all(&cache, before.now()), 2);
        sealed_by(&cache, &records, &node, HERE, before.now().wall);

        let clock = ManualClock::new(Timestamp::from_unix(before.now().wall.unix() + later));
        let ends = before.now().wall + TTL * 10;
        let opener = CacheOpener {
            cache: SvidCache::new(clock.shared()),
            records: Arc::new(records),
            clock: clock.shared(),
            health: HealthHandle::starting(),
            node,
            svid: HeldCredential::restored(clock.now(), before.now().wall, ends, Jitter::NONE),
            machine,
        };
        Begun { clock, opener, _dir: dir }
    }

    #[test]
    fn what_is_valid_is_served_at_once() {
        let begun = begun(HERE, 60);
        assert_eq!(begun.opener.open(), None);
        assert_eq!((begun.opener.cache.svid_count(), begun.opener.health.snapshot().state), (2, HealthState::Ready));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_waits_for_the_clock_is_served_when_that_is_put_right() {
        let begun = begun(HERE, -3_600);
        let (cache, health) = (begun.opener.cache.clone(), begun.opener.health.clone());
        let refused = begun.opener.open().unwrap();
        assert_eq!(refused.code(), trust_domains::problem::Code::ClockBehind);
        let mut shown = cache.shown();
        let waiting = tokio::spawn(begun.opener.open_later(refused, CancellationToken::new()));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(cache.svid_count(), 0);
        assert!(health.snapshot().problems.iter().any(|problem| problem.contains("clock_behind")));
        begun.clock.step_wall(3_600);
        tokio::time::timeout(Duration::from_secs(60), shown.changed())
            .await
            .expect("it is taken up")
            .unwrap();
        waiting.await.unwrap();
        assert_eq!((cache.svid_count(), health.snapshot().state), (2, HealthState::Ready));
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_of_another_machine_is_never_served_and_forgotten_when_the_server_is_there() {
        let begun = begun(None, 60);
        let (cache, health) = (begun.opener.cache.clone(), begun.opener.health.clone());
        let refused = begun.opener.open().unwrap();
        let waiting = tokio::spawn(begun.opener.open_later(refused, CancellationToken::new()));
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert!(!waiting.is_finished());
        assert_eq!(cache.entry_count(), 0);
        cache.apply(snapshot(9, vec![entry("c", 1)]));
        waiting.await.unwrap();
        assert!(health.snapshot().problems.is_empty());
        assert_eq!(cache.entry_count(), 1);
    }
}
