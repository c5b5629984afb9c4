//! The methods of the Workload API.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use trust_domains::SelectorSet;

use super::asked::CostlyEntries;
use super::connection::Connection;
use super::identity_feed::IdentityFeed;
use super::svid_messages::{x509_bundles, x509_svids};
use super::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse, WitBundlesRequest,
    WitBundlesResponse, WitsvidRequest, WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use super::workload_api::server::SpiffeWorkloadApi;
use crate::svids::{IdentityView, SvidCache, WantedFacts};
use crate::workload::Attestor;

/// What says who a process is and what it gets.
pub(super) struct Authority {
    pub(super) cache: SvidCache,
    pub(super) attestor: Arc<Attestor>,
    costly: CostlyEntries,
}

impl Authority {
    pub(super) fn new(cache: SvidCache, attestor: Arc<Attestor>) -> Self {
        Self {
            cache,
            attestor,
            costly: CostlyEntries::default(),
        }
    }

    /// Returns the facts that cost which entries of this node ask about a process with these ids.
    pub(super) fn asked_of(&self, ids: &SelectorSet) -> WantedFacts {
        self.costly.asked_of(&self.cache, ids)
    }
}

/// The service.
pub(super) struct WorkloadService {
    authority: Arc<Authority>,
}

impl WorkloadService {
    pub(super) fn new(authority: Arc<Authority>) -> Self {
        Self { authority }
    }

    async fn feed<T>(&self, request: &Request<T>) -> Result<IdentityFeed, Status> {
        IdentityFeed::open(Arc::clone(&self.authority), Connection::of(request)?).await
    }
}

/// A server stream of whole states.
type States<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Returns the stream of a first state and those that `next` gives until its first error, each as `message` writes it.
fn states<M, N, F>(feed: IdentityFeed, first: &Arc<IdentityView>, message: fn(&IdentityView) -> M, next: N) -> States<M>
where
    M: Send + 'static,
    N: Fn(IdentityFeed) -> F + Send + 'static,
    F: Future<Output = (IdentityFeed, Result<Arc<IdentityView>, Status>)> + Send,
{
    let first = Ok(message(first));
    let later = stream::unfold((Some(feed), next), move |(feed, next)| async move {
        match next(feed?).await {
            (feed, Ok(view)) => Some((Ok(message(&view)), (Some(feed), next))),
            (_ended, Err(status)) => Some((Err(status), (None, next))),
        }
    });
    Box::pin(stream::iter([first]).chain(later))
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadService {
    type FetchX509SVIDStream = States<X509svidResponse>;

    async fn fetch_x509svid(&self, request: Request<X509svidRequest>) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let mut feed = self.feed(&request).await?;
        let first = feed.next().await?;
        Ok(Response::new(states(feed, &first, x509_svids, |mut feed| async move {
            let next = feed.next().await;
            (feed, next)
        })))
    }

    type FetchX509BundlesStream = States<X509BundlesResponse>;

    async fn fetch_x509_bundles(&self, request: Request<X509BundlesRequest>) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        let mut feed = self.feed(&request).await?;
        let first = feed.next().await?;
        Ok(Response::new(states(feed, &first, x509_bundles, |mut feed| async move {
            let next = feed.next_bundle().await;
            (feed, next)
        })))
    }

    async fn fetch_jwtsvid(&self, _request: Request<JwtsvidRequest>) -> Result<Response<JwtsvidResponse>, Status> {
        Err(no_profile("JWT-SVID"))
    }

    type FetchJWTBundlesStream = States<JwtBundlesResponse>;

    async fn fetch_jwt_bundles(&self, _request: Request<JwtBundlesRequest>) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        Err(no_profile("JWT-SVID"))
    }

    async fn validate_jwtsvid(&self, _request: Request<ValidateJwtsvidRequest>) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        Err(no_profile("JWT-SVID"))
    }

    type FetchWITSVIDStream = States<WitsvidResponse>;

    async fn fetch_witsvid(&self, _request: Request<WitsvidRequest>) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        Err(no_profile("WIT-SVID"))
    }

    type FetchWITBundlesStream = States<WitBundlesResponse>;

    async fn fetch_wit_bundles(&self, _request: Request<WitBundlesRequest>) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        Err(no_profile("WIT-SVID"))
    }
}

/// The answer for a profile that this version does not serve; clients do not retry it (WAPI-20).
fn no_profile(profile: &str) -> Status {
    Status::unimplemented(format!("this agent does not serve the {profile} profile"))
}
