//! The client: one connection a call, as an operator's commands are few.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::client::{CallError, JsonLines, Octets, json_request, read_answer, within};
use crate::sockets::SocketPath;

/// Calls the API behind a Unix socket.
#[derive(Debug, Clone)]
pub struct UnixHttpClient {
    socket: SocketPath,
    deadline: Duration,
}

impl UnixHttpClient {
    /// Returns a client whose calls may take `deadline` each.
    #[must_use]
    pub fn new(socket: SocketPath, deadline: Duration) -> Self {
        Self { socket, deadline }
    }

    /// Returns where the API is.
    #[must_use]
    pub fn socket(&self) -> &SocketPath {
        &self.socket
    }

    /// Reads.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Posts JSON and reads the JSON answer; ask for `()` where there is none.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::DELETE, path, None::<&()>).await
    }

    /// Calls with any method; a body is optional.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<T, CallError> {
        let peer = self.peer();
        within(&peer, self.deadline, async {
            let response = self.send(json_request(&peer, method, path, body)?).await?;
            read_answer(&peer, response).await
        })
        .await
    }

    /// Opens a stream of JSON lines; the deadline is for its beginning.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn lines(&self, path: &str) -> Result<JsonLines, CallError> {
        let peer = self.peer();
        within(&peer, self.deadline, async {
            let response = self.send(json_request(&peer, Method::GET, path, None::<&()>)?).await?;
            JsonLines::of(&peer, response).await
        })
        .await
    }

    /// Posts nothing and takes the octets of the answer; the deadline is for its beginning.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn octets(&self, path: &str) -> Result<Octets, CallError> {
        let peer = self.peer();
        within(&peer, self.deadline, async {
            let response = self.send(json_request(&peer, Method::POST, path, None::<&()>)?).await?;
            Octets::of(&peer, response).await
        })
        .await
    }

    /// Sends a request over a connection of its own.
    ///
    /// # Errors
    /// [`CallError::Lost`].
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        let lost = |error: Box<dyn std::error::Error + Send + Sync>| CallError::lost(&self.peer(), error);
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        let stream = UnixStream::connect(self.socket.path()).await.map_err(|error| lost(error.into()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(error.into()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection to the admin socket broke");
            }
        });
        sender.send_request(request).await.map_err(|error| lost(error.into()))
    }

    fn peer(&self) -> String {
        format!("the process at {}", self.socket)
    }
}
