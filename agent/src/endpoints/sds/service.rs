//! The methods of the service.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::super::connection::Connection;
use super::super::identity_feed::{IdentityFeed, News};
use super::super::sds_api::messages::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse};
use super::super::sds_api::server::SecretDiscoveryService;
use super::super::service::Authority;
use super::conversation::{Conversation, Form, Responses, check_type, too_much};
use super::delta::Delta;
use super::secrets::Secrets;
use super::state_of_the_world::StateOfTheWorld;
use crate::metrics::SdsCounts;
use crate::svids::IdentityView;

/// The largest request: a thousand names, and Envoy's description of itself, which lists every extension that it was built with (61 KB in Envoy 1.40).
pub(crate) const MAX_REQUEST: usize = 256 * 1024;

/// The most of a name that an error repeats.
const MAX_NAME_SHOWN: usize = 300;

/// The service.
pub(crate) struct SecretService {
    authority: Arc<Authority>,
    counts: SdsCounts,
}

impl SecretService {
    pub(crate) fn new(authority: Arc<Authority>, counts: SdsCounts) -> Self {
        Self { authority, counts }
    }

    /// Attests the caller and returns what it is entitled to now, and later.
    async fn attest<T>(&self, request: &Request<T>) -> Result<(Arc<Connection>, IdentityFeed, Arc<IdentityView>), Status> {
        let connection = Connection::of(request)?;
        let mut feed = IdentityFeed::open(Arc::clone(&self.authority), Arc::clone(&connection)).await?;
        let first = feed.next(News::X509Svids).await?;
        Ok((connection, feed, first))
    }

    async fn converse<F: Form>(&self, request: Request<Streaming<F::Request>>) -> Result<Response<Responses<F::Response>>, Status> {
        let (connection, feed, first) = self.attest(&request).await?;
        let conversation = Conversation::<F>::new(request.into_inner(), connection, feed, &first, self.counts.clone());
        Ok(Response::new(conversation.responses()))
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for SecretService {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;

    async fn delta_secrets(&self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        self.converse::<Delta>(request).await
    }

    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn stream_secrets(&self, request: Request<Streaming<DiscoveryRequest>>) -> Result<Response<Self::StreamSecretsStream>, Status> {
        self.converse::<StateOfTheWorld>(request).await
    }

    async fn fetch_secrets(&self, request: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        let (_connection, _feed, view) = self.attest(&request).await?;
        let request = request.into_inner();
        check_type(&request.type_url)?;
        let secrets = Secrets::of(&view);
        let mut once = StateOfTheWorld::default();
        // What the client has from before is not asked: it is answered whole.
        let whole = DiscoveryRequest {
            resource_names: request.resource_names.clone(),
            ..DiscoveryRequest::default()
        };
        once.hear(whole).map_err(too_much)?;
        refuse_foreign(&request.resource_names, &secrets)?;
        let response = once.push(secrets.catalog()).map(|push| StateOfTheWorld::response(push, &secrets));
        self.counts.pushed();
        Ok(Response::new(DiscoveryResponse {
            // There is nothing to answer.
            nonce: String::new(),
            ..response.unwrap_or_default()
        }))
    }
}

/// Refuses names that there is nothing behind: an answer without them would leave it to the caller to find out.
fn refuse_foreign(names: &[String], secrets: &Secrets) -> Result<(), Status> {
    let foreign = |name: &&String| !name.is_empty() && *name != super::interest::EVERYTHING && secrets.catalog().version(name).is_none();
    let Some(name) = names.iter().find(foreign) else { return Ok(()) };
    let shown: String = name.chars().take(MAX_NAME_SHOWN).collect();
    Err(Status::permission_denied(format!("no entry of this node gives this process {shown:?}")))
}
