//! A client of secret discovery that this process is: it asks, answers and says what it was sent.

use std::path::Path;

use agent::sds_api::client::{SdsClient, connect};
use agent::sds_api::messages::{
    Any, DataSource, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Secret, data_source, secret,
};
use prost::Message as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};
use trust_domains::x509::Certificate;

use crate::wait::PATIENCE;

/// Returns a request for these names.
#[must_use]
pub fn asking(names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        resource_names: names.iter().map(|&name| name.to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

/// Connects to a socket.
///
/// # Panics
///
/// When nobody answers.
pub async fn client(socket: &Path) -> SdsClient {
    connect(socket).await.expect("the agent answers")
}

/// An open stream, and the way to speak on it.
#[derive(Debug)]
pub struct Open<Q, A> {
    requests: UnboundedSender<Q>,
    responses: Streaming<A>,
}

/// A stream of whole states.
pub type StateStream = Open<DiscoveryRequest, DiscoveryResponse>;

/// A stream of changes.
pub type DeltaStream = Open<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

impl<Q, A> Open<Q, A> {
    /// Says something.
    ///
    /// # Panics
    ///
    /// When the stream has ended.
    pub fn say(&self, request: Q) {
        assert!(self.requests.send(request).is_ok(), "the stream has ended");
    }

    /// Waits for the next response.
    ///
    /// # Errors
    /// How the stream ended.
    ///
    /// # Panics
    ///
    /// When nothing comes in time, or the stream ended without a status.
    pub async fn next(&mut self) -> Result<A, Status> {
        let response = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a response in time");
        Ok(response?.expect("an open stream"))
    }
}

impl StateStream {
    /// Opens a stream.
    ///
    /// # Errors
    /// The agent refuses.
    pub async fn open(client: &mut SdsClient, first: DiscoveryRequest) -> Result<Self, Status> {
        let (requests, stream) = unbounded_channel();
        let _ = requests.send(first);
        let responses = client.stream_secrets(UnboundedReceiverStream::new(stream)).await?.into_inner();
        Ok(Self { requests, responses })
    }
}

impl DeltaStream {
    /// Opens a stream.
    ///
    /// # Errors
    /// The agent refuses.
    pub async fn open(client: &mut SdsClient, first: DeltaDiscoveryRequest) -> Result<Self, Status> {
        let (requests, stream) = unbounded_channel();
        let _ = requests.send(first);
        let responses = client.delta_secrets(UnboundedReceiverStream::new(stream)).await?.into_inner();
        Ok(Self { requests, responses })
    }
}

/// Reads a resource.
///
/// # Panics
///
/// When it is no secret.
#[must_use]
pub fn secret_of(resource: &Any) -> Secret {
    assert_eq!(resource.type_url, agent::sds_api::SECRET_TYPE);
    Secret::decode(resource.value.clone()).expect("a secret")
}

/// Returns the PEM in a source.
///
/// # Panics
///
/// When it has none.
#[must_use]
pub fn pem_of(source: Option<&DataSource>) -> String {
    let Some(data_source::Specifier::InlineBytes(octets)) = source.and_then(|source| source.specifier.as_ref()) else {
        panic!("no data")
    };
    String::from_utf8(octets.to_vec()).expect("text")
}

/// Returns the names of the secrets in a response.
#[must_use]
pub fn names_of(response: &DiscoveryResponse) -> Vec<String> {
    response.resources.iter().map(|resource| secret_of(resource).name).collect()
}

/// Returns the leaf of the first certificate in a response.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn leaf_of(response: &DiscoveryResponse) -> Certificate {
    let found = response.resources.iter().find_map(|resource| match secret_of(resource).r#type {
        Some(secret::Type::TlsCertificate(certificate)) => Some(certificate),
        _ => None,
    });
    let chain = pem_of(found.expect("a certificate").certificate_chain.as_ref());
    let leaf = pem::parse(chain).expect("PEM");
    Certificate::parse(leaf.contents()).expect("a certificate")
}
