//! A client of the Workload API, as any workload has one.

use std::path::{Path, PathBuf};

use agent::workload_api::client::SpiffeWorkloadApiClient;
use agent::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
    X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use hyper_util::rt::TokioIo;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use trust_domains::SpiffeId;
use trust_domains::problem::Code;

use super::received::Received;
use crate::failure::Failure;

/// A connection to an agent's Workload API.
pub(crate) struct WorkloadClient {
    client: SpiffeWorkloadApiClient<Channel>,
}

impl WorkloadClient {
    /// Connects to the socket.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Failure> {
        let path: PathBuf = socket.to_owned();
        let connector = tower::service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is never looked up: the connector opens the socket. It only names the authority of the requests.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
        let channel = channel.map_err(|error| {
            Failure::new(Code::CannotReach, format!("nobody answers on {}: {}", socket.display(), innermost(&error)))
                .with_hint("check that the agent runs: troth health agent; or name its socket: --socket PATH")
        })?;
        Ok(Self {
            client: SpiffeWorkloadApiClient::new(channel),
        })
    }

    /// Opens the stream of X509-SVIDs.
    pub(crate) async fn watch_x509(&mut self) -> Result<Updates, Failure> {
        let stream = self.client.fetch_x509svid(with_header(X509svidRequest {})).await.map_err(refused)?;
        Ok(Updates { stream: stream.into_inner() })
    }

    /// Fetches the X.509 bundles once.
    pub(crate) async fn bundles(&mut self) -> Result<X509BundlesResponse, Failure> {
        let stream = self.client.fetch_x509_bundles(with_header(X509BundlesRequest {})).await.map_err(refused)?;
        stream.into_inner().message().await.map_err(refused)?.ok_or_else(ended)
    }

    /// Fetches the JWT bundles once.
    pub(crate) async fn jwt_bundles(&mut self) -> Result<JwtBundlesResponse, Failure> {
        let stream = self.client.fetch_jwt_bundles(with_header(JwtBundlesRequest {})).await.map_err(refused)?;
        stream.into_inner().message().await.map_err(refused)?.ok_or_else(ended)
    }

    /// Fetches a JWT-SVID for each identity, or for the one that is named.
    pub(crate) async fn jwt_svids(&mut self, audience: Vec<String>, spiffe_id: Option<&SpiffeId>) -> Result<JwtsvidResponse, Failure> {
        let request = JwtsvidRequest {
            audience,
            spiffe_id: spiffe_id.map(ToString::to_string).unwrap_or_default(),
        };
        Ok(self.client.fetch_jwtsvid(with_header(request)).await.map_err(refused)?.into_inner())
    }
}

impl WorkloadClient {
    /// Fetches a WIT-SVID for each identity, or for the one that is named: the first message of the stream.
    pub(crate) async fn wit_svids(&mut self, spiffe_id: Option<&SpiffeId>) -> Result<WitsvidResponse, Failure> {
        let request = WitsvidRequest {
            spiffe_id: spiffe_id.map(ToString::to_string).unwrap_or_default(),
        };
        let stream = self.client.fetch_witsvid(with_header(request)).await.map_err(wit_refused)?;
        let response = stream.into_inner().message().await.map_err(refused)?.ok_or_else(ended)?;
        match response.svids.is_empty() {
            true => Err(Failure::new(Code::WitSvidInvalid, "the agent sent a message without SVIDs")),
            false => Ok(response),
        }
    }

    /// Fetches the WIT bundles once.
    pub(crate) async fn wit_bundles(&mut self) -> Result<WitBundlesResponse, Failure> {
        let stream = self.client.fetch_wit_bundles(with_header(WitBundlesRequest {})).await.map_err(wit_refused)?;
        stream.into_inner().message().await.map_err(refused)?.ok_or_else(ended)
    }
}

/// The WIT profile may be switched off (WAPI-20).
fn wit_refused(status: Status) -> Failure {
    match status.code() {
        tonic::Code::Unimplemented => refused(status).with_hint("the agent's operator switches it on: troth agent run --enable wit; the server needs the same"),
        _ => refused(status),
    }
}

/// The stream of updates.
pub(crate) struct Updates {
    stream: Streaming<X509svidResponse>,
}

impl Updates {
    /// Waits for the next update and reads it.
    pub(crate) async fn next(&mut self) -> Result<Received, Failure> {
        let response = self.stream.message().await.map_err(refused)?.ok_or_else(ended)?;
        Received::read(response)
    }
}

/// Every call carries the security header (EP-04).
fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("workload.spiffe.io", MetadataValue::from_static("true"));
    request
}

/// Turns a status of the Workload API into a failure with the next step.
fn refused(status: Status) -> Failure {
    let code = match status.code() {
        tonic::Code::PermissionDenied => Code::NoEntries,
        tonic::Code::Unavailable => Code::WorkloadUnavailable,
        tonic::Code::ResourceExhausted => Code::TooManyRequests,
        tonic::Code::Unimplemented => Code::NotImplemented,
        tonic::Code::InvalidArgument => Code::InvalidRequest,
        _ => Code::Internal,
    };
    Failure::new(code, status.message())
}

fn ended() -> Failure {
    Failure::new(Code::WorkloadUnavailable, "the agent ended the stream")
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut lowest = error;
    while let Some(lower) = lowest.source() {
        lowest = lower;
    }
    lowest.to_string()
}
