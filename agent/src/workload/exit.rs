//! The end of a process, told by its pidfd.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::attestor::AttestError;
use super::process::Process;

/// Tells when a process ends. The pidfd means that process alone, whoever has its number later.
#[derive(Debug)]
pub struct Exit(AsyncFd<Arc<OwnedFd>>);

impl Exit {
    /// Watches a child of the agent's own that was not waited for yet. It is not reaped by that.
    ///
    /// # Errors
    /// There is no such child, or the system cannot watch it.
    pub(crate) fn of_child(pid: Pid) -> Result<Self, AttestError> {
        Self::of(Process::open(pid)?.into_pidfd())
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe, for sources that close their descriptor early: this one keeps it open as long as it lives"
    )]
    pub(super) fn of(pidfd: Arc<OwnedFd>) -> Result<Self, AttestError> {
        let watched = AsyncFd::with_interest(pidfd, Interest::READABLE);
        watched.map(Self).map_err(|source| AttestError::Unreadable { what: "pidfd", source })
    }

    /// Waits until the process has ended, with its last thread, whether its parent knows or not.
    pub async fn ended(&self) {
        // It stays readable once it is. An error is the end of the runtime, which nobody waits out.
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
