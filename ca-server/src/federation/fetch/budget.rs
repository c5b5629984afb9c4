//! How much one connection may send.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The octets that may still be received.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(octets: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(octets)))
    }

    /// Returns whether nothing more is received.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, octets: usize) {
        let spend = |left: usize| Some(left.saturating_sub(octets));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }
}

/// A stream that breaks when the other end has sent all that it may.
#[derive(Debug)]
pub(super) struct Budgeted<S> {
    stream: S,
    budget: Budget,
}

impl<S> Budgeted<S> {
    pub(super) fn new(stream: S, budget: Budget) -> Self {
        Self { stream, budget }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Budgeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.budget.is_spent() {
            return Poll::Ready(Err(io::Error::other("more was sent than is taken")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.budget.spend(buffer.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Budgeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stream_breaks_once_its_budget_is_spent() {
        let budget = Budget::new(10);
        let mut stream = Budgeted::new(tokio::io::repeat(7), budget.clone());
        stream.read_exact(&mut [0; 9]).await.unwrap();
        assert!(!budget.is_spent());
        stream.read_exact(&mut [0; 9]).await.unwrap();
        assert!(budget.is_spent(), "what is read at once is bounded by the reader's buffer");
        stream.read_exact(&mut [0]).await.unwrap_err();
    }
}
