//! The keys of JWT-SVIDs, for the formats that hold them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::backoff::{Backoff, jitter};
use tokio::sync::watch;

use crate::source::{JwtKeys, SourceError, WorkloadClient};

/// The waits between two attempts, as those of the stream of X509-SVIDs.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Follows the stream of JWT bundles over every interruption for as long as somebody listens; what came last stays.
pub(super) async fn keep(socket: PathBuf, keys: watch::Sender<Option<JwtKeys>>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    while !keys.is_closed() {
        let Err(error) = attempt(&socket, &keys, &mut backoff).await;
        tracing::debug!(error = %error, "the Workload API gives no keys of tokens now");
        tokio::time::sleep(backoff.next(jitter())).await;
    }
}

/// Follows one stream to its end.
async fn attempt(socket: &Path, keys: &watch::Sender<Option<JwtKeys>>, backoff: &mut Backoff) -> Result<std::convert::Infallible, SourceError> {
    let mut updates = WorkloadClient::connect(socket).await?.watch_jwt_keys().await?;
    loop {
        let update = updates.next().await?;
        backoff.reset();
        keys.send_replace(Some(update));
    }
}
