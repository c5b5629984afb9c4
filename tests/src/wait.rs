//! Waiting with a limit: a hang fails the test that hangs.

use std::time::{Duration, Instant};

/// The longest that a test waits for anything that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How often is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `ready` returns something, asking every 20 ms.
///
/// # Panics
///
/// When it did not within [`PATIENCE`].
pub fn until<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ready).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// Waits until `ready` returns something, asking every 20 ms; nothing when it did not in time.
pub fn within<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let value = ready();
        if value.is_some() || Instant::now() >= end {
            return value;
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Waits until `ready` returns something, asking every 20 ms, without holding the thread.
///
/// # Panics
///
/// When it did not within [`PATIENCE`].
pub async fn until_async<T>(what: &str, ready: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, ASK_EVERY, what, ready).await
}

/// Waits as [`until_async`] does, for a measurement: with its own limit, and as often as it must be exact.
///
/// # Panics
///
/// When it did not within the limit.
pub async fn until_within<T>(limit: Duration, every: Duration, what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ready().await {
                return value;
            }
            tokio::time::sleep(every).await;
        }
    };
    tokio::time::timeout(limit, asking)
        .await
        .unwrap_or_else(|_| panic!("waited {limit:?} for {what}"))
}
