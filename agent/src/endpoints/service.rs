//! The methods of the Workload API.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::problem::with_causes;
use trust_domains::wire::tokens::MAX_AUDIENCE_LEN;
use trust_domains::{SelectorSet, SpiffeId};

use super::asked::CostlyEntries;
use super::connection::Connection;
use super::identity_feed::{IdentityFeed, News, not_granted};
use super::jwt_messages::{jwt_bundles, jwt_svids, validated};
use super::svid_messages::{x509_bundles, x509_svids};
use super::wit_feed::WitFeed;
use super::wit_messages::{wit_bundles, wit_svids};
use super::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse, WitBundlesRequest,
    WitBundlesResponse, WitsvidRequest, WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svidRequest, X509svidResponse,
};
use super::workload_api::server::SpiffeWorkloadApi;
use crate::jwt_svids::{Audience, JwtCache, Unobtained};
use crate::svids::{IdentityView, SvidCache, WantedFacts};
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
    tokens: JwtCache,
    clock: SharedClock,
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

    /// Returns a token for each identity of the view, or for the one that is asked for; those that cannot be had are left out unless all are (WAPI-16).
    async fn tokens(&self, view: &IdentityView, asked: Option<&SpiffeId>, audience: &Audience) -> Result<JwtsvidResponse, Status> {
        let granted = view.svids.iter().filter(|svid| asked.is_none_or(|asked| svid.spiffe_id == *asked));
        let entries: Vec<_> = granted.filter_map(|svid| self.authority.cache.entry(&svid.entry_id)).collect();
        if entries.is_empty() {
            return Err(not_granted(asked));
        }
        let obtained = join_all(entries.iter().map(|entry| self.authority.tokens.fetch(entry, audience))).await;
        let mut tokens = Vec::with_capacity(entries.len());
        let mut refused = None;
        for (entry, obtained) in entries.into_iter().zip(obtained) {
            match obtained {
                Ok(svid) => tokens.push((entry, svid)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if tokens.is_empty() => Err(unobtained(&error)),
            _ => Ok(jwt_svids(&tokens)),
        }
    }
}

/// Reads which identity a workload asks for; nothing means all.
fn asked_identity(text: &str) -> Result<Option<SpiffeId>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = SpiffeId::parse(text.as_bytes()).map_err(|error| Status::invalid_argument(format!("spiffe_id: {error}")))?;
    Ok(Some(parsed))
}

fn unobtained(error: &Unobtained) -> Status {
    match error {
        Unobtained::Full { .. } => Status::resource_exhausted(error.to_string()),
        Unobtained::EntryChanged | Unobtained::Refused(_) | Unobtained::Unreached(_) => Status::unavailable(error.to_string()),
    }
}

/// A server stream of whole states.
type States<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Returns the stream of a first state and those that are news after it, until the first error, each as `message` writes it.
async fn states<M: Send + 'static>(feed: IdentityFeed, news: News, message: fn(&IdentityView) -> M) -> Result<Response<States<M>>, Status> {
    started(feed.changes(news).map(move |view| Ok(message(&*view?)))).await
}

/// Returns the stream of these states once the first is there: an error in its place is the answer to the call.
async fn started<M: Send + 'static>(states: impl Stream<Item = Result<M, Status>> + Send + 'static) -> Result<Response<States<M>>, Status> {
    let mut states = Box::pin(states);
    let first = states.next().await.unwrap_or_else(|| Err(Status::unavailable("the agent is stopping")))?;
    Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(states))))
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
        // Before anything is looked up or waited for (WAPI-07).
        let audience = Audience::of(request.get_ref().audience.clone()).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let asked = asked_identity(&request.get_ref().spiffe_id)?;
        let mut feed = self.feed(&request).await?;
        let view = feed.next(News::X509Svids).await?;
        let response = self.tokens(&view, asked.as_ref(), &audience).await?;
        feed.check_caller()?;
        Ok(Response::new(response))
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
