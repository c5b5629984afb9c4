//! One HTTP connection, from its first octet to its end, with the limits that keep a bad client cheap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send the head of a request, or of its first one after it connected.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long responses under way may take once the connection was told to end: a last line of a stream gets out, nothing waits for a slow reader.
const END_GRACE: Duration = Duration::from_secs(1);

/// Requests that one HTTP/2 connection has open at once: an agent needs a stream and a few calls.
const HTTP2_STREAMS: u32 = 64;

/// The most octets of request headers, and of what is kept to read an HTTP/1 head.
const HEADER_OCTETS: u32 = 16 * 1024;

/// The most headers of an HTTP/1 request.
const HEADERS: usize = 64;

/// What one HTTP/2 stream may send before it is read: a batch of 500 keys has about 100 KB.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What one HTTP/2 connection may send before it is read: the bound of its buffers.
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// What is kept for a stream that its client does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// How often a silent HTTP/2 client is asked whether it lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// How a connection is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionBounds {
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// How long a client may take to send the head of a request, or of its first one after it connected.
    pub(crate) head_deadline: Duration,
}

impl From<Protocol> for ConnectionBounds {
    fn from(protocol: Protocol) -> Self {
        Self {
            protocol,
            head_deadline: HEAD_DEADLINE,
        }
    }
}

/// Serves a connection until its client or `end` ends it. Every request carries `facts` as an extension.
///
/// A connection that sends no request within the deadline of its bounds is dropped.
pub(crate) async fn serve_connection<I, F>(io: I, bounds: impl Into<ConnectionBounds>, router: Router, facts: F, end: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Clone + Send + Sync + 'static,
{
    let ConnectionBounds { protocol, head_deadline } = bounds.into();
    let spoke = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let spoke = spoke.clone();
        move |mut request: hyper::Request<Incoming>| {
            spoke.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(facts.clone());
            let router = router.clone();
            async move { router.oneshot(request.map(axum::body::Body::new) as Request).await }
        }
    });
    let silent = async {
        tokio::time::sleep(head_deadline).await;
        if spoke.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    // A macro, as the two connections have no trait in common.
    macro_rules! run {
        ($connection:expr) => {{
            let connection = std::pin::pin!($connection);
            let mut connection = connection;
            let outcome = tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = silent => Ok(()),
                () = end.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(END_GRACE, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(error = %error, "a connection broke");
            }
        }};
    }
    match protocol {
        Protocol::Http1 => run!(http1_builder(head_deadline).serve_connection(TokioIo::new(io), service)),
        Protocol::Http2 => run!(http2_builder().serve_connection(TokioIo::new(io), service)),
    }
}

fn http1_builder(head_deadline: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_deadline)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_OCTETS as usize)
        .keep_alive(true);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HEADER_OCTETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
