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
pub async fn until_async<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ready().await {
                return value;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
