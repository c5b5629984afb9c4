//! The client's edge of our own HTTP APIs: answers with a limit, problem documents as errors, streams of JSON lines.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded, Problem};

use crate::tls::Connection;
use crate::trace::TraceContext;

/// The longest answer to a call: the views of 200,000 entries that one request may create.
pub const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// The longest line of a stream: 1,000 entries with the longest names and selectors, and a bundle.
pub const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// The longest problem document that is read.
const LONGEST_PROBLEM: usize = 64 * 1024;

/// A call did not get the answer it is for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers, or the connection broke.
    #[error("cannot reach {peer}")]
    Lost {
        /// Whom.
        peer: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what this call expects.
    #[error("the answer of {peer} is not what is expected: {reason}")]
    NotExpected {
        /// Whose.
        peer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The peer refused, and said why.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// It took too long.
    #[error("{peer} did not answer within {}", format_duration(*deadline))]
    TimedOut {
        /// Who.
        peer: String,
        /// The time it had.
        deadline: Duration,
    },
}

impl CallError {
    /// Returns a loss of the connection to `peer`.
    pub fn lost(peer: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Lost {
            peer: peer.to_owned(),
            source: source.into(),
        }
    }
}

impl Coded for CallError {
    fn code(&self) -> Code {
        match self {
            Self::Lost { .. } | Self::TimedOut { .. } => Code::CannotReach,
            Self::NotExpected { .. } => Code::Internal,
            Self::Refused(problem) => problem.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Refused(problem) => problem.hint.clone(),
            // The socket is there, and not for this user.
            Self::Lost { source, .. } if is_permission_denied(source.as_ref()) => Code::Unauthorized.facts().hint.to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

impl Connection {
    /// Posts JSON and reads the JSON answer. An answer without a body reads as JSON `null`: ask for `()`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, deadline: Duration) -> Result<T, CallError> {
        within("the server", deadline, async {
            let request = json_request("the server", Method::POST, path, Some(body))?;
            let response = self.send(request).await.map_err(|error| CallError::lost("the server", error))?;
            read_answer("the server", response).await
        })
        .await
    }

    /// Opens a stream of JSON lines; `deadline` is for its beginning.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn lines(&self, path: &str, deadline: Duration) -> Result<JsonLines, CallError> {
        within("the server", deadline, async {
            let request = json_request("the server", Method::GET, path, None::<&()>)?;
            let response = self.send(request).await.map_err(|error| CallError::lost("the server", error))?;
            JsonLines::of("the server", response).await
        })
        .await
    }
}

/// Lines of JSON as they arrive.
#[derive(Debug)]
pub struct JsonLines {
    peer: String,
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer holds no line end, as was seen before.
    searched: usize,
}

impl JsonLines {
    /// Takes the lines of a response, or its problem.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn of(peer: &str, response: Response<Incoming>) -> Result<Self, CallError> {
        Ok(Self {
            peer: peer.to_owned(),
            body: accepted(peer, response).await?.into_body(),
            buffer: BytesMut::new(),
            searched: 0,
        })
    }

    /// Returns the next line, read as `T`; `None` when the stream has ended. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`CallError`]; the stream is over then.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CallError> {
        let Some(line) = self.next_line().await? else { return Ok(None) };
        serde_json::from_slice(&line).map(Some).map_err(|error| not_expected(&self.peer, &error))
    }

    /// Returns the next line without its end.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn next_line(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|octet| *octet == b'\n') {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST_LINE {
                return Err(not_expected(&self.peer, &format_args!("a line is longer than {LONGEST_LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(CallError::lost(&self.peer, error)),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(not_expected(&self.peer, &"the stream ended within a line")),
            }
        }
    }
}

/// An answer of octets as they arrive.
#[derive(Debug)]
pub struct Octets {
    peer: String,
    body: Incoming,
}

impl Octets {
    /// Takes the octets of a response, or its problem.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn of(peer: &str, response: Response<Incoming>) -> Result<Self, CallError> {
        Ok(Self {
            peer: peer.to_owned(),
            body: accepted(peer, response).await?.into_body(),
        })
    }

    /// Returns what arrived next; `None` at the end.
    ///
    /// # Errors
    /// [`CallError::Lost`]: what arrived is not whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            match self.body.frame().await.transpose().map_err(|error| CallError::lost(&self.peer, error))? {
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

/// Makes the request of a call, in a new trace.
pub(crate) fn json_request(peer: &str, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
    request = request.header("traceparent", TraceContext::start().to_traceparent());
    let octets = match body {
        Some(body) => {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            serde_json::to_vec(body).map_err(|error| not_expected(peer, &error))?.into()
        }
        None => Bytes::new(),
    };
    request.body(Full::new(octets)).map_err(|error| not_expected(peer, &error))
}

/// Reads an answer as `T`, or its problem.
pub(crate) async fn read_answer<T: DeserializeOwned>(peer: &str, response: Response<Incoming>) -> Result<T, CallError> {
    let response = accepted(peer, response).await?;
    let octets = if response.status() == StatusCode::NO_CONTENT {
        Bytes::new()
    } else {
        read_body(peer, response.into_body(), LONGEST_ANSWER).await?
    };
    let octets: &[u8] = if octets.is_empty() { b"null" } else { &octets };
    serde_json::from_slice(octets).map_err(|error| not_expected(peer, &error))
}

/// Reads a body of at most `limit` octets.
pub(crate) async fn read_body(peer: &str, body: Incoming, limit: usize) -> Result<Bytes, CallError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(not_expected(peer, &format_args!("it is longer than {limit} bytes"))),
        Err(error) => Err(CallError::lost(peer, error)),
    }
}

/// Gives a call its time.
pub(crate) async fn within<T>(peer: &str, deadline: Duration, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::TimedOut {
            peer: peer.to_owned(),
            deadline,
        }),
    }
}

/// Returns the response, unless it is a problem.
async fn accepted(peer: &str, response: Response<Incoming>) -> Result<Response<Incoming>, CallError> {
    match response.status().is_success() {
        true => Ok(response),
        false => Err(read_problem(peer, response).await),
    }
}

async fn read_problem(peer: &str, response: Response<Incoming>) -> CallError {
    let status = response.status();
    let octets = match read_body(peer, response.into_body(), LONGEST_PROBLEM).await {
        Ok(octets) => octets,
        Err(error) => return error,
    };
    match serde_json::from_slice(&octets) {
        Ok(problem) => CallError::Refused(Box::new(problem)),
        Err(_) => not_expected(peer, &format_args!("HTTP status {status} without a problem document")),
    }
}

fn is_permission_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn not_expected(peer: &str, reason: &dyn std::fmt::Display) -> CallError {
    CallError::NotExpected {
        peer: peer.to_owned(),
        reason: reason.to_string(),
    }
}
