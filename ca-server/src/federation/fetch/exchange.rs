//! One request and its answer, over HTTP/2 or HTTP/1.1.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HOST, HeaderMap, HeaderName, IF_NONE_MATCH, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::task::AbortOnDropHandle;
use trust_domains::federation::EndpointUrl;

use super::body::{self, BodyRefused};
use super::budget::Budget;
use super::error::{FetchError, at};
use super::limits::{MAX_ETAG, MAX_HEADER_OCTETS, MAX_HEADERS};
use super::said::Said;
use super::tls::Secured;

/// How this program calls itself: endpoints' operators see who fetches.
const AGENT: &str = concat!("troth/", env!("CARGO_PKG_VERSION"));

/// How much one answer may send before it is read.
const WINDOW: u32 = 256 * 1024;

/// What an endpoint answered.
pub(super) enum Answer {
    Document { octets: Bytes, etag: Option<String> },
    Moved { location: String },
    NotModified { etag: Option<String> },
}

/// One GET.
pub(super) struct Exchange<'a> {
    pub(super) url: &'a EndpointUrl,
    /// The tag of what the caller has.
    pub(super) etag: Option<HeaderValue>,
    /// The longest document.
    pub(super) limit: usize,
    /// What the connection may receive.
    pub(super) budget: Budget,
}

impl Exchange<'_> {
    /// Asks and reads the answer. The connection is closed afterwards, whatever is still on its way.
    pub(super) async fn ask(&self, stream: Secured) -> Result<Answer, FetchError> {
        let asked = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => send_http2(stream, self.request(Version::HTTP_2)?).await,
            _ => send_http1(stream, self.request(Version::HTTP_11)?).await,
        };
        let (response, _connection) = asked.map_err(|error| self.broken(&error))?;
        self.read(response).await
    }

    fn request(&self, version: Version) -> Result<Request<Empty<Bytes>>, FetchError> {
        let malformed = |error: http::Error| FetchError::malformed(self.url, error);
        let uri: Uri = self.url.as_str().parse().map_err(|error: http::uri::InvalidUri| malformed(error.into()))?;
        let mut request = Request::get(&uri)
            .version(version)
            .header(ACCEPT, "application/json, */*;q=0.5")
            // Without this header any encoding may be sent: what is small on the line could be large here.
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, AGENT);
        if version == Version::HTTP_11 {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            request = request.uri(path).header(HOST, authority);
        }
        if let Some(etag) = &self.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        request.body(Empty::new()).map_err(malformed)
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, FetchError> {
        let (head, body) = response.into_parts();
        let etag = text(&head.headers, &ETAG).filter(|etag| etag.len() <= MAX_ETAG);
        match head.status {
            StatusCode::OK => {
                self.check_plain(&head.headers)?;
                let octets = body::read(body, self.limit).await.map_err(|refused| self.refused(&refused))?;
                Ok(Answer::Document { octets, etag })
            }
            StatusCode::NOT_MODIFIED if self.etag.is_some() => Ok(Answer::NotModified { etag }),
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                match text(&head.headers, &LOCATION) {
                    Some(location) => Ok(Answer::Moved { location }),
                    None => Err(FetchError::RedirectRefused {
                        at: at(self.url),
                        reason: Said::of("it names no location"),
                    }),
                }
            }
            status => Err(FetchError::Status {
                at: at(self.url),
                status: status.as_u16(),
            }),
        }
    }

    fn check_plain(&self, headers: &HeaderMap) -> Result<(), FetchError> {
        let encoded = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        match encoded {
            true => Err(FetchError::malformed(self.url, "the document is compressed, which was not asked for")),
            false => Ok(()),
        }
    }

    fn refused(&self, refused: &BodyRefused) -> FetchError {
        match refused {
            BodyRefused::Broken(error) => self.broken(error),
            BodyRefused::TooLarge => self.too_large(),
        }
    }

    fn broken(&self, error: &hyper::Error) -> FetchError {
        if self.budget.is_spent() {
            self.too_large()
        } else if is_nonsense(error) {
            FetchError::malformed(self.url, trust_domains::problem::with_causes(error))
        } else {
            FetchError::unreachable(self.url, error)
        }
    }

    fn too_large(&self) -> FetchError {
        FetchError::TooLarge {
            at: at(self.url),
            limit: self.limit,
        }
    }
}

/// Tells what is not HTTP from a connection that broke.
fn is_nonsense(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) {
            return true;
        }
        cause = inner.source();
    }
    error.is_parse() || error.is_parse_too_large()
}

/// Returns a header that is printable ASCII.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An answer that has begun, and what drives its connection until it is dropped.
type Begun = (Response<Incoming>, AbortOnDropHandle<()>);

async fn send_http1(stream: Secured, request: Request<Empty<Bytes>>) -> Result<Begun, hyper::Error> {
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_OCTETS)
        .handshake(TokioIo::new(stream))
        .await?;
    let driven = AbortOnDropHandle::new(tokio::spawn(async move {
        // What ended it shows at the answer.
        let _ = connection.await;
    }));
    Ok((sender.send_request(request).await?, driven))
}

async fn send_http2(stream: Secured, request: Request<Empty<Bytes>>) -> Result<Begun, hyper::Error> {
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEADER_OCTETS).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(stream))
        .await?;
    let driven = AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = connection.await;
    }));
    Ok((sender.send_request(request).await?, driven))
}
