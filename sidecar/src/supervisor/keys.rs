//! The keys of JWT-SVIDs, for the formats that hold them.

use std::path::{Path, PathBuf};

use platform::backoff::{Backoff, jitter};
use tokio::sync::watch;

use crate::source::{FIRST_WITHIN, JwtKeys, KeyUpdates, SourceError, WorkloadClient, between_attempts};

/// Follows the stream of JWT bundles over every interruption for as long as somebody listens; what came last stays.
pub(super) async fn keep(socket: PathBuf, keys: watch::Sender<Option<JwtKeys>>) {
    let mut backoff = between_attempts();
    while !keys.is_closed() {
        let Err(error) = attempt(&socket, &keys, &mut backoff).await;
        tracing::debug!(error = %error, "the Workload API gives no keys of tokens now");
        tokio::time::sleep(backoff.next(jitter())).await;
    }
}

/// Follows one stream to its end.
async fn attempt(socket: &Path, keys: &watch::Sender<Option<JwtKeys>>, backoff: &mut Backoff) -> Result<std::convert::Infallible, SourceError> {
    let late = |_| SourceError::Late { socket: socket.to_owned() };
    let (mut updates, mut update) = tokio::time::timeout(FIRST_WITHIN, open(socket)).await.map_err(late)??;
    loop {
        backoff.reset();
        keys.send_replace(Some(update));
        update = updates.next().await?;
    }
}

async fn open(socket: &Path) -> Result<(KeyUpdates, JwtKeys), SourceError> {
    let mut updates = WorkloadClient::connect(socket).await?.watch_jwt_keys().await?;
    let first = updates.next().await?;
    Ok((updates, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_takes_the_call_and_says_nothing_is_late() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        // Nobody accepts: the system lets the caller in all the same.
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let (keys, told) = watch::channel(None);
        let late = attempt(&socket, &keys, &mut between_attempts()).await.unwrap_err();
        assert!(matches!(late, SourceError::Late { .. }), "{late}");
        assert_eq!(*told.borrow(), None);
    }
}
