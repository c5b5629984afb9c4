//! The end of a process, told by its pidfd.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a process ends. The pidfd means that process alone, whoever has its number later.
#[derive(Debug)]
pub struct Exit(AsyncFd<Arc<OwnedFd>>);

impl Exit {
    /// Watches the process of a pidfd; must be called within a runtime. A child is not reaped by that.
    ///
    /// # Errors
    /// The system cannot watch it.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for sources that close their descriptor early: this one keeps it open as long as it lives"
    )]
    pub fn of(pidfd: Arc<OwnedFd>) -> io::Result<Self> {
        AsyncFd::with_interest(pidfd, Interest::READABLE).map(Self)
    }

    /// Waits until the process has ended, with its last thread, whether its parent knows or not.
    pub async fn ended(&self) {
        // It stays readable once it is. An error is the end of the runtime, which nobody waits out.
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
