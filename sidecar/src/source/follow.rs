//! Follows the stream of X509-SVIDs over every interruption.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use platform::backoff::{Backoff, jitter};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use trust_domains::clock::SharedClock;
use trust_domains::problem::Coded as _;

use super::client::{Updates, WorkloadClient};
use super::context::X509Context;
use super::error::SourceError;

/// The first wait after a failure: an agent that restarts is back in about so much.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait. An entry that is made while a program waits for it, and an agent that comes back, are seen within this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a connection, and the first message on it, may take: the agent attests the caller and may have to ask its server for a certificate.
pub(crate) const FIRST_WITHIN: Duration = Duration::from_secs(30);

/// Returns the waits between two attempts to follow a stream of the agent's.
pub(crate) fn between_attempts() -> Backoff {
    Backoff::new(FIRST_WAIT, LONGEST_WAIT)
}

/// The X509-SVIDs of this process, kept fresh: a task connects, reads, verifies, and begins anew with a growing wait whenever the stream ends.
///
/// The task ends with this value.
#[derive(Debug)]
pub struct X509Source {
    states: watch::Receiver<SourceState>,
    _task: AbortOnDropHandle<()>,
}

/// What is known at one moment, one whole value.
#[derive(Debug, Clone, Default)]
pub struct SourceState {
    /// What the agent last delivered. It stays when the stream ends, and ends by itself: whoever uses it looks at its NotAfter.
    pub context: Option<Arc<X509Context>>,
    /// Why there is no stream now, if there is none: the agent is away, or says that this process is entitled to nothing any more
    /// ([`SourceError::is_denied`]).
    pub trouble: Option<Arc<SourceError>>,
}

impl X509Source {
    /// Begins to follow the Workload API on a socket; must be called within a runtime.
    #[must_use]
    pub fn connect(socket: impl Into<PathBuf>, clock: SharedClock) -> Self {
        let (sender, states) = watch::channel(SourceState::default());
        let socket = socket.into();
        let task = tokio::spawn(async move { follow(&socket, &clock, &sender).await });
        Self {
            states,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Returns what is known now and in time. At the beginning that is neither a context nor a trouble.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<SourceState> {
        self.states.clone()
    }
}

/// Connects again and again, as long as somebody listens.
async fn follow(socket: &Path, clock: &SharedClock, states: &watch::Sender<SourceState>) {
    let mut backoff = between_attempts();
    while !states.is_closed() {
        let error = attempt(socket, clock, states, &mut backoff).await;
        tracing::debug!(code = error.code().facts().word, error = %error, "the Workload API gives nothing now");
        states.send_modify(|state| state.trouble = Some(Arc::new(error)));
        tokio::time::sleep(backoff.next(jitter())).await;
    }
}

/// Follows one stream to its end, and returns why it ended.
async fn attempt(socket: &Path, clock: &SharedClock, states: &watch::Sender<SourceState>, backoff: &mut Backoff) -> SourceError {
    let (mut updates, mut context) = match tokio::time::timeout(FIRST_WITHIN, open(socket, clock)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return error,
        Err(_late) => return SourceError::Late { socket: socket.to_owned() },
    };
    loop {
        backoff.reset();
        states.send_replace(SourceState {
            context: Some(Arc::new(context)),
            trouble: None,
        });
        context = match updates.next(clock).await {
            Ok(context) => context,
            Err(error) => return error,
        };
    }
}

async fn open(socket: &Path, clock: &SharedClock) -> Result<(Updates, X509Context), SourceError> {
    let mut updates = WorkloadClient::connect(socket).await?.watch_x509().await?;
    let context = updates.next(clock).await?;
    Ok((updates, context))
}
