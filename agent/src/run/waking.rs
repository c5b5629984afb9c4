//! Sees that this process did not run for a while, as after the machine slept, and has what is due done at once.
//!
//! What is due is found by each loop on the clock that counts suspend, within ten seconds by itself. Here the rest is done: nobody waits for an answer on a connection of
//! before, for a retry whose timer stood still, or for a loop that looks again in a moment.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::waking::{LOOK_EVERY, away_for};

use crate::svids::SvidCache;

/// Watches until `ending`.
pub(super) async fn watch_for_absence(clock: SharedClock, cache: SvidCache, woken: watch::Sender<()>, ending: CancellationToken) {
    loop {
        let before = clock.now().since_boot;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = ending.cancelled() => return,
        }
        if let Some(away) = away_for(before, clock.now().since_boot) {
            tracing::info!(
                away_s = away.as_secs(),
                "this process did not run for a while: the machine slept, or it was stopped; what is due is renewed now"
            );
            woken.send_replace(());
            cache.retry_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trust_domains::Timestamp;
    use trust_domains::clock::ManualClock;
    use trust_domains::plan::rotation::RotationPolicy;

    use super::*;
    use crate::svids::testing::{TTL, entry, issue_all, snapshot};

    /// What a suspend is seen within (design section 4, "Rotation").
    const BOUND: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_is_seen_within_ten_seconds_and_one_that_runs_is_not() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let cache = SvidCache::new(clock.shared());
        cache.apply(snapshot(5, vec![entry("a", 1), entry("b", 2)]));
        assert_eq!(issue_all(&cache, clock.now()), 2);
        let (woken, ending) = (watch::Sender::new(()), CancellationToken::new());
        let mut seen = woken.subscribe();
        let watching = tokio::spawn(watch_for_absence(clock.shared(), cache.clone(), woken, ending.clone()));
        for _ in 0..60 {
            tokio::time::sleep(LOOK_EVERY).await;
            clock.advance(LOOK_EVERY);
        }
        assert!(!seen.has_changed().unwrap());

        clock.advance(TTL);
        tokio::time::timeout(BOUND, seen.changed()).await.expect("it is seen in time").unwrap();
        tokio::time::timeout(BOUND, cache.work()).await.expect("the loop is told");
        assert_eq!(
            cache.due(&RotationPolicy::default()).issue.len(),
            2,
            "all that ended meanwhile is asked for at once"
        );
        ending.cancel();
        watching.await.unwrap();
    }
}
