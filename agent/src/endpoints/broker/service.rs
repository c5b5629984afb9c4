//! The methods of the Broker API.

use std::sync::Arc;

use platform::trace::TraceContext;
use tonic::{Request, Response, Status};
use trust_domains::SpiffeId;

use super::audit::{Audit, Given};
use super::messages::{jwt_bundles, jwt_svids, x509_bundles, x509_svids};
use super::peer::Broker;
use super::reference::Reference;
use super::referenced::Referenced;
use crate::endpoints::broker_api::messages::{
    FetchJwtsvidRequest, FetchJwtsvidResponse, SubscribeToJwtBundlesRequest, SubscribeToJwtBundlesResponse, SubscribeToX509BundlesRequest,
    SubscribeToX509BundlesResponse, SubscribeToX509svidRequest, SubscribeToX509svidResponse, WorkloadReference,
};
use crate::endpoints::broker_api::server::Api;
use crate::endpoints::connection::{Connection, Peer as _};
use crate::endpoints::identity_feed::IdentityFeed;
use crate::endpoints::service::Authority;
use crate::endpoints::states::{States, states};
use crate::endpoints::subject::Subject as _;
use crate::endpoints::tokens::Asked;
use crate::metrics::BrokerCounts;
use crate::svids::IdentityView;
use crate::workload::Shares;

/// How many processes are looked at for one broker at once: what its calls wait for holds up nobody else who asks about the same processes.
const ATTESTED_AT_ONCE: usize = 16;

/// The service.
pub(in crate::endpoints) struct BrokerService {
    authority: Arc<Authority>,
    attesting: Shares<SpiffeId>,
    counts: BrokerCounts,
}

impl BrokerService {
    pub(in crate::endpoints) fn new(authority: Arc<Authority>, counts: BrokerCounts) -> Self {
        Self {
            authority,
            attesting: Shares::new(ATTESTED_AT_ONCE),
            counts,
        }
    }

    /// Follows the reference of a request, before anything else of it is looked at (BRK-17).
    fn resolve<T>(&self, request: &Request<T>, reference: Option<&WorkloadReference>) -> Result<Referenced, Status> {
        let connection: Arc<Connection<Broker>> = Connection::of(request)?;
        let resolved = Reference::of(reference).map_err(Status::from).and_then(|reference| {
            connection.peer().check_reference(reference.reference_type())?;
            match reference {
                Reference::Pid(pid) => Referenced::resolve(pid, connection),
            }
        });
        resolved.map_err(|refused| self.count(refused))
    }

    /// Attests the process and subscribes to what it is entitled to.
    async fn feed(&self, referenced: Referenced) -> Result<IdentityFeed<Referenced>, Status> {
        let _turn = self.attesting.take(referenced.broker().holder()).await;
        let feed = IdentityFeed::open(Arc::clone(&self.authority), Arc::new(referenced)).await;
        feed.map_err(|refused| self.count(refused))
    }

    /// Answers a call with a stream of whole states.
    async fn stream<T, M: Send + 'static>(
        &self,
        request: &Request<T>,
        reference: Option<&WorkloadReference>,
        given: Given,
        message: fn(&IdentityView) -> M,
    ) -> Result<Response<States<M>>, Status> {
        let referenced = self.resolve(request, reference)?;
        let mut audit = Audit::new(&referenced, given, trace_of(request), self.counts.clone());
        let feed = self.feed(referenced).await?;
        let stream = states(feed, given.news(), move |view| {
            audit.note(view);
            message(view)
        });
        stream.await.map_err(|refused| self.count(refused))
    }

    fn count(&self, refused: Status) -> Status {
        self.counts.refused();
        refused
    }
}

fn trace_of<T>(request: &Request<T>) -> TraceContext {
    TraceContext::of(request.metadata().as_ref())
}

#[tonic::async_trait]
impl Api for BrokerService {
    type SubscribeToX509SVIDStream = States<SubscribeToX509svidResponse>;

    async fn subscribe_to_x509svid(&self, request: Request<SubscribeToX509svidRequest>) -> Result<Response<Self::SubscribeToX509SVIDStream>, Status> {
        let reference = request.get_ref().reference.as_ref();
        self.stream(&request, reference, Given::X509Svids, x509_svids).await
    }

    type SubscribeToX509BundlesStream = States<SubscribeToX509BundlesResponse>;

    async fn subscribe_to_x509_bundles(&self, request: Request<SubscribeToX509BundlesRequest>) -> Result<Response<Self::SubscribeToX509BundlesStream>, Status> {
        let reference = request.get_ref().reference.as_ref();
        self.stream(&request, reference, Given::X509Bundles, x509_bundles).await
    }

    async fn fetch_jwtsvid(&self, request: Request<FetchJwtsvidRequest>) -> Result<Response<FetchJwtsvidResponse>, Status> {
        let FetchJwtsvidRequest {
            reference,
            audience,
            spiffe_id,
        } = request.get_ref();
        let referenced = self.resolve(&request, reference.as_ref())?;
        let asked = Asked::of(audience, spiffe_id)?;
        let mut audit = Audit::new(&referenced, Given::JwtSvids, trace_of(&request), self.counts.clone());
        let mut feed = self.feed(referenced).await?;
        let fetched = async {
            let view = feed.next(Given::JwtSvids.news()).await?;
            let tokens = tokio::select! {
                biased;
                last_word = feed.subject().ending() => return Err(last_word),
                tokens = self.authority.tokens(feed.subject(), &view, &asked) => tokens?,
            };
            feed.subject().check_unchanged()?;
            Ok(tokens)
        };
        let tokens = fetched.await.map_err(|refused| self.count(refused))?;
        audit.granted(tokens.iter().map(|(entry, _)| entry.id.clone()).collect());
        Ok(Response::new(jwt_svids(&tokens)))
    }

    type SubscribeToJWTBundlesStream = States<SubscribeToJwtBundlesResponse>;

    async fn subscribe_to_jwt_bundles(&self, request: Request<SubscribeToJwtBundlesRequest>) -> Result<Response<Self::SubscribeToJWTBundlesStream>, Status> {
        let reference = request.get_ref().reference.as_ref();
        self.stream(&request, reference, Given::JwtBundles, jwt_bundles).await
    }
}
