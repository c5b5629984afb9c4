//! Waiting with a limit: a hang fails the test that hangs.

use std::time::{Duration, Instant};

/// The longest that a test waits for anything that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `ready` returns something, asking every 20 ms.
///
/// # Panics
///
/// When it did not within [`PATIENCE`].
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
