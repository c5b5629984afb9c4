//! A client of the Workload API, as any workload has one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::workload_api::SECURITY_HEADER;
use agent::workload_api::client::SpiffeWorkloadApiClient;
use agent::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse, X509BundlesRequest,
    X509svidRequest, X509svidResponse,
};
use hyper_util::rt::TokioIo;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use trust_domains::clock::Clock;
use trust_domains::{SpiffeId, TrustBundle, TrustDomain};

use super::bundles::{JwtKeys, bundles_of, jwt_bundles_of};
use super::context::X509Context;
use super::error::SourceError;
use super::token::HeldToken;

/// How often a quiet connection is asked whether the agent still lives. A Unix socket tells when a process ends; only this tells of one that hangs.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long the answer to that may take.
const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(20);

/// A connection to an agent's Workload API.
#[derive(Debug, Clone)]
pub struct WorkloadClient {
    client: SpiffeWorkloadApiClient<Channel>,
}

impl WorkloadClient {
    /// Connects to the socket.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn connect(socket: &Path) -> Result<Self, SourceError> {
        let path: PathBuf = socket.to_owned();
        let connector = tower::service_fn(move |_: tonic::transport::Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The address is never looked up: the connector opens the socket. It only names the authority of the requests.
        let endpoint = Endpoint::from_static("http://localhost")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_WITHIN)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| SourceError::Connect {
            socket: socket.to_owned(),
            reason: innermost(&error),
        })?;
        Ok(Self {
            client: SpiffeWorkloadApiClient::new(channel),
        })
    }

    /// Opens the stream of X509-SVIDs.
    ///
    /// # Errors
    /// The agent refuses.
    pub async fn watch_x509(&mut self) -> Result<Updates, SourceError> {
        let stream = self.client.fetch_x509svid(with_header(X509svidRequest {})).await;
        Ok(Updates {
            stream: stream.map_err(|status| SourceError::refused(&status))?.into_inner(),
        })
    }

    /// Fetches the X.509 bundles once, in the order of their trust domains.
    ///
    /// # Errors
    /// The agent refuses, or one cannot be read.
    pub async fn bundles(&mut self) -> Result<BTreeMap<TrustDomain, TrustBundle>, SourceError> {
        let stream = self.client.fetch_x509_bundles(with_header(X509BundlesRequest {})).await;
        let response = first(stream.map_err(|status| SourceError::refused(&status))?.into_inner()).await?;
        let bundles = bundles_of(response.bundles)?;
        Ok(bundles.into_iter().map(|bundle| (bundle.trust_domain().clone(), bundle)).collect())
    }

    /// Fetches the JWT bundles once.
    ///
    /// # Errors
    /// The agent refuses, or one cannot be read.
    pub async fn jwt_bundles(&mut self) -> Result<HashMap<TrustDomain, TrustBundle>, SourceError> {
        let stream = self.client.fetch_jwt_bundles(with_header(JwtBundlesRequest {})).await;
        let response = first(stream.map_err(|status| SourceError::refused(&status))?.into_inner()).await?;
        Ok(jwt_bundles_of(response.bundles)?)
    }

    /// Opens the stream of JWT bundles.
    ///
    /// # Errors
    /// The agent refuses.
    pub async fn watch_jwt_keys(&mut self) -> Result<KeyUpdates, SourceError> {
        let stream = self.client.fetch_jwt_bundles(with_header(JwtBundlesRequest {})).await;
        Ok(KeyUpdates {
            stream: stream.map_err(|status| SourceError::refused(&status))?.into_inner(),
        })
    }

    /// Fetches a JWT-SVID for each identity, or for the one that is named, and verifies each for every audience.
    ///
    /// # Errors
    /// The agent refuses, or a token does not verify.
    pub async fn jwt_svids(&mut self, audience: &[String], spiffe_id: Option<&SpiffeId>, clock: &dyn Clock) -> Result<Vec<HeldToken>, SourceError> {
        let request = JwtsvidRequest {
            audience: audience.to_vec(),
            spiffe_id: spiffe_id.map(ToString::to_string).unwrap_or_default(),
        };
        let response = self.client.fetch_jwtsvid(with_header(request)).await;
        let response = response.map_err(|status| SourceError::refused(&status))?.into_inner();
        // After the tokens: the keys that verify them are there by then.
        let bundles = self.jwt_bundles().await?;
        let now = clock.now().wall;
        let read = |message| Ok(HeldToken::read(message, &bundles, audience, now)?);
        response.svids.into_iter().map(read).collect()
    }

    /// Fetches a WIT-SVID for each identity, or for the one that is named: the first message of the stream, as it came.
    ///
    /// # Errors
    /// The agent refuses, or has that profile switched off.
    pub async fn wit_svids(&mut self, spiffe_id: Option<&SpiffeId>) -> Result<WitsvidResponse, SourceError> {
        let request = WitsvidRequest {
            spiffe_id: spiffe_id.map(ToString::to_string).unwrap_or_default(),
        };
        let stream = self.client.fetch_witsvid(with_header(request)).await;
        first(stream.map_err(|status| SourceError::wit_refused(&status))?.into_inner()).await
    }

    /// Fetches the WIT bundles once, as they came.
    ///
    /// # Errors
    /// The agent refuses, or has that profile switched off.
    pub async fn wit_bundles(&mut self) -> Result<WitBundlesResponse, SourceError> {
        let stream = self.client.fetch_wit_bundles(with_header(WitBundlesRequest {})).await;
        first(stream.map_err(|status| SourceError::wit_refused(&status))?.into_inner()).await
    }
}

/// The stream of X509-SVIDs.
#[derive(Debug)]
pub struct Updates {
    stream: Streaming<X509svidResponse>,
}

impl Updates {
    /// Waits for the next update, reads it, and verifies it as of the moment in which it came.
    ///
    /// # Errors
    /// The agent ended the stream, or what it sent cannot be used.
    pub async fn next(&mut self, clock: &dyn Clock) -> Result<X509Context, SourceError> {
        let message = self.stream.message().await.map_err(|status| SourceError::refused(&status))?;
        Ok(X509Context::read(message.ok_or(SourceError::Ended)?, clock.now().wall)?)
    }
}

/// The stream of JWT bundles.
#[derive(Debug)]
pub struct KeyUpdates {
    stream: Streaming<JwtBundlesResponse>,
}

impl KeyUpdates {
    /// Waits for the next update: the keys of every trust domain.
    ///
    /// # Errors
    /// The agent ended the stream, or what it sent cannot be read.
    pub async fn next(&mut self) -> Result<JwtKeys, SourceError> {
        let message = self.stream.message().await.map_err(|status| SourceError::refused(&status))?;
        Ok(JwtKeys::read(message.ok_or(SourceError::Ended)?.bundles)?)
    }
}

async fn first<T>(mut stream: Streaming<T>) -> Result<T, SourceError> {
    let message = stream.message().await.map_err(|status| SourceError::refused(&status))?;
    message.ok_or(SourceError::Ended)
}

/// Every call carries the security header (EP-04).
fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    request
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut lowest = error;
    while let Some(lower) = lowest.source() {
        lowest = lower;
    }
    lowest.to_string()
}
