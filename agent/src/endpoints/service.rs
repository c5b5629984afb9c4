//! The methods of the Workload API.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tonic::{Request, Response, Status};
use trust_domains::SelectorSet;
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::problem::with_causes;
use trust_domains::wire::tokens::MAX_AUDIENCE_LEN;

use super::asked::CostlyEntries;
use super::connection::Connection;
use super::identity_feed::{IdentityFeed, News};
use super::jwt_messages::{jwt_bundles, jwt_svids, validated};
use super::states::{States, started, states};
use super::subject::Subject as _;
use super::svid_messages::{x509_bundles, x509_svids};
use super::tokens::{Asked, asked_identity};
use super::wit_feed::WitFeed;
use super::wit_messages::{wit_bundles, wit_svids};
use super::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse, WitBundlesRequest,
    WitBundlesResponse, WitsvidRequest, WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use super::workload_api::server::SpiffeWorkloadApi;
use crate::jwt_svids::JwtCache;
use crate::svids::{SvidCache, WantedFacts};
use crate::wit_svids::WitCache;
use crate::workload::Attestor;

/// What a Workload API serves from, and how it judges tokens.
#[derive(Clone)]
pub struct Served {
    /// Entries, X509-SVIDs and bundles.
    pub cache: SvidCache,
    /// JWT-SVIDs.
    pub tokens: JwtCache,
    /// Who says which process is calling.
    pub attestor: Arc<Attestor>,
    /// The time by which tokens are judged.
    pub clock: SharedClock,
    /// How far the clocks of those who issue tokens may differ from it.
    pub jwt_leeway: Duration,
    /// WIT-SVIDs; nothing while that profile is off.
    pub wits: Option<WitCache>,
}

/// What says who a process is and what it gets.
pub(super) struct Authority {
    pub(super) cache: SvidCache,
    pub(super) attestor: Arc<Attestor>,
    pub(super) tokens: JwtCache,
    pub(super) clock: SharedClock,
    jwt_leeway: Duration,
    wits: Option<WitCache>,
    costly: CostlyEntries,
}

impl Authority {
    pub(super) fn new(served: Served) -> Self {
        Self {
            cache: served.cache,
            attestor: served.attestor,
            tokens: served.tokens,
            clock: served.clock,
            jwt_leeway: served.jwt_leeway,
            wits: served.wits,
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

impl WorkloadService {
    /// Returns the WIT-SVIDs. While the profile is off there are none, and clients do not ask again (WAPI-20).
    fn wits(&self) -> Result<&WitCache, Status> {
        let off = || Status::unimplemented("the WIT-SVID profile is off on this agent; its operator switches it on: troth agent run --enable wit");
        self.authority.wits.as_ref().ok_or_else(off)
    }
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadService {
    type FetchX509SVIDStream = States<X509svidResponse>;

    async fn fetch_x509svid(&self, request: Request<X509svidRequest>) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        states(self.feed(&request).await?, News::X509Svids, x509_svids).await
    }

    type FetchX509BundlesStream = States<X509BundlesResponse>;

    async fn fetch_x509_bundles(&self, request: Request<X509BundlesRequest>) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        states(self.feed(&request).await?, News::X509Authorities, x509_bundles).await
    }

    async fn fetch_jwtsvid(&self, request: Request<JwtsvidRequest>) -> Result<Response<JwtsvidResponse>, Status> {
        let asked = Asked::of(&request.get_ref().audience, &request.get_ref().spiffe_id)?;
        let mut feed = self.feed(&request).await?;
        let view = feed.next(News::X509Svids).await?;
        let tokens = self.authority.tokens(feed.subject(), &view, &asked).await?;
        feed.subject().check_unchanged()?;
        Ok(Response::new(jwt_svids(&tokens)))
    }

    type FetchJWTBundlesStream = States<JwtBundlesResponse>;

    async fn fetch_jwt_bundles(&self, request: Request<JwtBundlesRequest>) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        states(self.feed(&request).await?, News::JwtAuthorities, jwt_bundles).await
    }

    async fn validate_jwtsvid(&self, request: Request<ValidateJwtsvidRequest>) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        let ValidateJwtsvidRequest { audience, svid } = request.get_ref();
        if audience.is_empty() || audience.len() > MAX_AUDIENCE_LEN || svid.is_empty() {
            return Err(Status::invalid_argument(format!(
                "a validation needs a token and one audience of 1 to {MAX_AUDIENCE_LEN} bytes"
            )));
        }
        let view = self.feed(&request).await?.next(News::X509Svids).await?;
        let expected = Expectation {
            audience,
            now: self.authority.clock.now().wall,
            leeway: self.authority.jwt_leeway,
        };
        let verified = verify_jwt_svid(svid, |trust_domain| view.bundle_of(trust_domain), &expected);
        let verified = verified.map_err(|error| Status::invalid_argument(with_causes(&error)))?;
        Ok(Response::new(validated(&verified)))
    }

    type FetchWITSVIDStream = States<WitsvidResponse>;

    async fn fetch_witsvid(&self, request: Request<WitsvidRequest>) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        let tokens = self.wits()?.clone();
        let asked = asked_identity(&request.get_ref().spiffe_id)?;
        let feed = self.feed(&request).await?;
        let feed = WitFeed::new(feed, Connection::of(&request)?, self.authority.cache.clone(), tokens, asked);
        started(feed.changes().map(|tokens| Ok(wit_svids(&tokens?)))).await
    }

    type FetchWITBundlesStream = States<WitBundlesResponse>;

    async fn fetch_wit_bundles(&self, request: Request<WitBundlesRequest>) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        self.wits()?;
        states(self.feed(&request).await?, News::WitAuthorities, wit_bundles).await
    }
}
