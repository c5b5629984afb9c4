//! Reloads by an HTTP request to a service on this machine.
//!
//! One request without a body over a connection of its own, HTTP/1.1, to a loopback address or a Unix socket. 2xx is success; a redirect is an answer like any other, and
//! is never followed: what it points to is nobody's configuration. Of the answer at most [`LONGEST_ANSWER`] octets are read.

mod target;

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use trust_domains::delivery::Changed;
use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

pub use self::target::{HttpTarget, ParseHttpTargetError};

/// The longest answer that is read: what a program says of a reload fits into a log line many times over.
pub const LONGEST_ANSWER: usize = 16 * 1024;

/// The longest head of an answer.
const LONGEST_HEAD: usize = 16 * 1024;

/// How much of the answer to a failed reload is told.
const TOLD: usize = 200;

/// The header that names what changed since the hook last succeeded.
const CHANGED: HeaderName = HeaderName::from_static("troth-changed");

/// The methods that a hook may use.
const METHODS: [Method; 4] = [Method::GET, Method::PATCH, Method::POST, Method::PUT];

/// A reload by an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHook {
    target: HttpTarget,
    method: Method,
}

/// The method of a hook: GET, PATCH, POST or PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpMethod(Method);

impl Default for HttpMethod {
    fn default() -> Self {
        Self(Method::POST)
    }
}

impl FromStr for HttpMethod {
    type Err = ParseHttpMethodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let method = METHODS.into_iter().find(|known| known.as_str() == text);
        method.map(Self).ok_or_else(|| ParseHttpMethodError { found: text.to_owned() })
    }
}

/// A word is no method of a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the method of an HTTP hook is GET, PATCH, POST or PUT, and not {found:?}")]
pub struct ParseHttpMethodError {
    /// The word.
    pub found: String,
}

/// A service did not take the request.
#[derive(Debug, thiserror::Error)]
pub enum HttpHookError {
    /// The answer is not 2xx.
    #[error("{target} answered {status}{}", told(said))]
    Answer {
        /// Who.
        target: HttpTarget,
        /// Its status.
        status: StatusCode,
        /// The beginning of its answer, without control characters.
        said: String,
    },
    /// Nobody answers there, or what answers is no HTTP.
    #[error("{target} cannot be asked")]
    Lost {
        /// Who.
        target: HttpTarget,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{target} did not answer within {}", format_duration(*timeout))]
    TimedOut {
        /// Who.
        target: HttpTarget,
        /// The time it had.
        timeout: Duration,
    },
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl Coded for HttpHookError {
    fn code(&self) -> Code {
        match self {
            Self::Answer { .. } => Code::HookAnswerUnexpected,
            Self::Lost { .. } | Self::TimedOut { .. } => Code::CannotReach,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Answer { .. } => self.code().facts().hint.to_owned(),
            Self::Lost { target, .. } | Self::TimedOut { target, .. } => format!("check that the service runs and listens there: {target}"),
        }
    }
}

impl HttpHook {
    /// Makes a hook.
    #[must_use]
    pub fn new(target: HttpTarget, HttpMethod(method): HttpMethod) -> Self {
        Self { target, method }
    }

    /// Sends the request, which names what changed, and returns the status, which is 2xx.
    ///
    /// At a Unix socket only root or the sink's `owner` is believed to be the program that is meant.
    ///
    /// # Errors
    /// [`HttpHookError`].
    pub async fn perform(&self, changed: &Changed, owner: u32, timeout: Duration) -> Result<StatusCode, HttpHookError> {
        match tokio::time::timeout(timeout, self.ask(changed, owner)).await {
            Ok(answered) => answered,
            Err(_) => Err(HttpHookError::TimedOut {
                target: self.target.clone(),
                timeout,
            }),
        }
    }

    async fn ask(&self, changed: &Changed, owner: u32) -> Result<StatusCode, HttpHookError> {
        match &self.target {
            HttpTarget::Tcp { addresses, .. } => {
                let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| self.lost(error))?;
                self.ask_over(stream, changed).await
            }
            HttpTarget::Unix { socket, .. } => {
                let stream = UnixStream::connect(socket).await.map_err(|error| self.lost(error))?;
                // Whoever owns a directory on the way may have made a link to another service of this machine.
                let uid = stream.peer_cred().map_err(|error| self.lost(error))?.uid();
                if uid != 0 && uid != owner {
                    return Err(self.lost(std::io::Error::other(format!(
                        "uid {uid} listens there, who is neither root nor the sink's owner"
                    ))));
                }
                self.ask_over(stream, changed).await
            }
        }
    }

    async fn ask_over(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, changed: &Changed) -> Result<StatusCode, HttpHookError> {
        let mut connecting = http1::Builder::new();
        connecting.max_buf_size(LONGEST_HEAD);
        let (mut sender, connection) = connecting.handshake(TokioIo::new(stream)).await.map_err(|error| self.lost(error))?;
        let asking = async {
            let answer = sender.send_request(self.request(changed)?).await.map_err(|error| self.lost(error))?;
            self.judge(answer).await
        };
        // Both here, and no task: with the answer, or the end of the time, the connection is gone.
        tokio::pin!(asking, connection);
        tokio::select! {
            judged = &mut asking => judged,
            // It has ended; what it brought is still to be judged.
            _ = &mut connection => asking.await,
        }
    }

    fn request(&self, changed: &Changed) -> Result<Request<Empty<Bytes>>, HttpHookError> {
        let changed = HeaderValue::from_str(&changed.to_string()).map_err(|error| self.lost(error))?;
        let host = HeaderValue::from_str(self.target.host()).map_err(|error| self.lost(error))?;
        let request = Request::builder()
            .method(&self.method)
            .uri(self.target.path())
            .header(HOST, host)
            .header(CHANGED, changed)
            .header(USER_AGENT, HeaderValue::from_static("troth-agent"));
        let request = match self.method {
            Method::GET => request,
            _ => request.header(CONTENT_LENGTH, HeaderValue::from_static("0")),
        };
        request.body(Empty::new()).map_err(|error| self.lost(error))
    }

    async fn judge(&self, answer: Response<Incoming>) -> Result<StatusCode, HttpHookError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(status);
        }
        let said = match Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await {
            Ok(body) => printable(&body.to_bytes()),
            // Too long, or cut off: the status says enough.
            Err(_) => String::new(),
        };
        Err(HttpHookError::Answer {
            target: self.target.clone(),
            status,
            said,
        })
    }

    fn lost(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HttpHookError {
        HttpHookError::Lost {
            target: self.target.clone(),
            source: source.into(),
        }
    }
}

/// Returns the beginning of an answer as one line for a log.
fn printable(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let line: String = text
        .trim()
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(TOLD)
        .collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
