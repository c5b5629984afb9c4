//! One connection of a workload or a broker: whose it is, and the checks that every call on it passes.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service as _;

use super::authority::PlainAuthority;
use super::surface::{Metadata, OpenCall, Surface};
use super::workload_api::SECURITY_HEADER_VALUE;
use crate::workload::{Caller, Share, Shares};

/// The most octets of metadata in one call: gRPC's own default is 8 KiB, and this API has one line of it.
const MAX_METADATA: usize = 16 * 1024;

/// The most octets of metadata that are read at all, so that who sends a little too much is told; the HTTP library refuses what is more.
const MAX_METADATA_READ: u32 = 64 * 1024;

/// What each field counts beside its name and value (RFC 9113 section 6.5.2).
const METADATA_FIELD: usize = 32;

/// How much of its calls a connection may send before it is read, for one call and for all: what a client holds of the agent's memory by sending
/// without reading. A request of these APIs fits in one or a few of them.
const CALL_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// How long a connection may stay silent before its first call: a client connects because it wants to call.
const FIRST_CALL_DEADLINE: Duration = Duration::from_secs(20);

/// How long a connection has to finish its calls once it is to be closed.
const CLOSING_DEADLINE: Duration = Duration::from_secs(2);

/// Who is at the other end of a connection; shown, it names itself in the log.
pub(super) trait Peer: Display + Send + Sync + 'static {
    /// What its share of calls is counted by.
    type Holder: Eq + Hash + Clone + Send + Sync + Unpin + 'static;

    /// Returns whose share its calls are counted in.
    fn holder(&self) -> Self::Holder;

    /// Refuses any call of a peer that may make none.
    fn check_call(&self) -> Result<(), Status>;

    /// Returns the status of a call above its share.
    fn too_many_calls(&self) -> Status;
}

impl Peer for Caller {
    type Holder = u32;

    fn holder(&self) -> u32 {
        self.uid()
    }

    fn check_call(&self) -> Result<(), Status> {
        Ok(())
    }

    fn too_many_calls(&self) -> Status {
        Status::resource_exhausted(format!(
            "the user with uid {} has as many calls open as it may; close some, or raise --max-streams-per-uid",
            self.uid()
        ))
    }
}

impl Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of uid {}", self.pid(), self.uid())
    }
}

/// How many calls may be open.
#[derive(Clone)]
pub(super) struct CallLimits<K> {
    /// Those of one user, or of one broker.
    pub(super) each: Shares<K>,
    /// Those of one connection: enough that one too many is told why.
    pub(super) per_connection: u32,
}

/// One open connection.
pub(super) struct Connection<P = Caller> {
    peer: P,
    called: AtomicBool,
    close: CancellationToken,
}

impl<P: Peer> Connection<P> {
    /// Returns a connection on which nothing was called yet, that `close` ends.
    pub(super) fn new(peer: P, close: CancellationToken) -> Arc<Self> {
        let called = AtomicBool::new(false);
        Arc::new(Self { peer, called, close })
    }

    /// Returns the connection that a call came over.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Result<Arc<Self>, Status> {
        let connection = request.extensions().get::<Arc<Self>>();
        connection
            .cloned()
            .ok_or_else(|| Status::internal("the call came over no connection of this endpoint"))
    }

    /// Returns who opened it.
    pub(super) fn peer(&self) -> &P {
        &self.peer
    }

    /// Ends the connection, after the calls that are being answered: its peer has to connect again.
    pub(super) fn close(&self) {
        self.close.cancel();
    }

    /// Waits until the connection is to end.
    pub(super) async fn closing(&self) {
        self.close.cancelled().await;
    }
}

/// Serves one connection until its peer or the agent ends it.
pub(super) async fn serve<S, P>(stream: S, connection: Arc<Connection<P>>, surface: Surface, limits: CallLimits<P::Holder>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Peer,
{
    let service = service_fn(|request| {
        let (connection, surface, calls) = (Arc::clone(&connection), surface.clone(), limits.each.clone());
        async move { answer(request, connection, &surface, &calls).await }
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_header_list_size(MAX_METADATA_READ)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.per_connection);
    let mut serving = pin!(http.serve_connection(TokioIo::new(PlainAuthority::new(stream)), service));
    tokio::select! {
        ended = serving.as_mut() => return note_end(&connection, ended),
        () = silent_for_too_long(&connection) => return,
        () = connection.closing() => {}
    }
    serving.as_mut().graceful_shutdown();
    // A client that does not read its last messages is not waited for.
    if let Ok(ended) = tokio::time::timeout(CLOSING_DEADLINE, serving).await {
        note_end(&connection, ended);
    }
}

fn note_end<P: Peer>(connection: &Connection<P>, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, error = %error, "a connection broke");
    }
}

async fn silent_for_too_long<P>(connection: &Connection<P>) {
    tokio::time::sleep(FIRST_CALL_DEADLINE).await;
    if connection.called.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Answers one call: of any service, reflection and health too, so that none can be reached without the checks.
async fn answer<P: Peer>(
    mut request: Request<Incoming>,
    connection: Arc<Connection<P>>,
    surface: &Surface,
    calls: &Shares<P::Holder>,
) -> Result<Response<Counted<P::Holder>>, Status> {
    connection.called.store(true, Ordering::Relaxed);
    let share = match admit(&request, &connection.peer, surface.metadata(), calls) {
        Ok(share) => share,
        Err(refused) => return Ok(refused.into_http::<Body>().map(Counted::free)),
    };
    let counted = (share, surface.open().begin());
    request.extensions_mut().insert(connection);
    match surface.routes().call(request).await {
        Ok(response) => Ok(response.map(|body| Counted { body, _held: Some(counted) })),
        Err(never) => match never {},
    }
}

/// Checks a call before anything of it is looked at, and takes its place among those of its peer.
fn admit<P: Peer>(request: &Request<Incoming>, peer: &P, metadata: Metadata, calls: &Shares<P::Holder>) -> Result<Share<P::Holder>, Status> {
    if let Metadata::SecurityHeader(name) = metadata
        && !has_security_header(request.headers(), name)
    {
        return Err(Status::invalid_argument(format!("the metadata {name}: {SECURITY_HEADER_VALUE} is missing")));
    }
    if metadata_size(request.headers()) > MAX_METADATA {
        return Err(Status::resource_exhausted(format!("a call has at most {MAX_METADATA} octets of metadata")));
    }
    peer.check_call()?;
    calls.try_take(peer.holder()).ok_or_else(|| peer.too_many_calls())
}

/// Returns the size of the metadata as HTTP/2 counts it.
fn metadata_size(metadata: &HeaderMap) -> usize {
    metadata.iter().map(|(name, value)| METADATA_FIELD + name.as_str().len() + value.len()).sum()
}

/// Returns whether the metadata has the security header, once, with its one value; names are lower case on HTTP/2, the value is case-sensitive.
fn has_security_header(metadata: &HeaderMap, name: &str) -> bool {
    let mut values = metadata.get_all(name).iter();
    values.next().is_some_and(|value| value == SECURITY_HEADER_VALUE) && values.next().is_none()
}

/// The body of an answer, which holds its peer's share for as long as it is being sent.
struct Counted<K: Eq + Hash> {
    body: Body,
    _held: Option<(Share<K>, OpenCall)>,
}

impl<K: Eq + Hash> Counted<K> {
    fn free(body: Body) -> Self {
        Self { body, _held: None }
    }
}

impl<K: Eq + Hash + Unpin> hyper::body::Body for Counted<K> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {

    use conformance::covers;

    use super::super::workload_api::SECURITY_HEADER;
    use super::*;

    #[covers("EP-05")]
    #[test]
    fn the_security_header_counts_once_with_exactly_its_value() {
        for (values, accepted) in [
            (&["true"][..], true),
            (&[], false),
            (&["True"], false),
            (&["false"], false),
            (&["true", "true"], false),
            (&["true "], false),
        ] {
            let mut metadata = HeaderMap::new();
            for value in values {
                metadata.append(SECURITY_HEADER, value.parse().unwrap());
            }
            assert_eq!(has_security_header(&metadata, SECURITY_HEADER), accepted, "{values:?}");
        }
    }
}
