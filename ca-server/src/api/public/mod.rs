//! What strangers may fetch: the bundle, the Bundle Map, the revocation lists, and for OpenID Connect relying parties the discovery document and the keys of JWT-SVIDs.
//!
//! Everything here is public, and the same for everybody. The issuer's path is where the issuer URL says (OpenID Connect Discovery 1.0 section 4). No answer is
//! a redirect, which an endpoint may use (FED-16, FED-23): what is fetched is here.

mod cached;
mod discovery;
mod lists;
mod map;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use platform::trace::problem_response;
use tokio::sync::watch;
use trust_domains::TrustBundle;
use trust_domains::crl::CrlSet;
use trust_domains::federation::EndpointUrl;
use trust_domains::jwt_svid::IssuerUrl;
use trust_domains::problem::{Code, Problem};

use cached::{Cached, JSON, JWK_SET, MadeOf};

use crate::registry::{self, Registry};

/// What the public endpoint tells.
#[derive(Debug, Clone)]
pub struct PublicApi {
    /// The trust bundle.
    pub bundle: watch::Receiver<Arc<TrustBundle>>,
    /// Where the bundles of partners are; without it there is no Bundle Map here.
    pub registry: Option<Arc<Registry>>,
    /// Where the revocation lists are; without it there are none here.
    pub lists: Option<Arc<Registry>>,
    /// The issuer that tokens name; without one there is no OpenID Connect here.
    pub issuer: Option<IssuerUrl>,
    /// What partners were told: the bundle is at its path too.
    pub url: Option<EndpointUrl>,
    /// How long an answer may be kept. A key signs no earlier than five of these after it was published, so whoever keeps to it knows each in time.
    pub refresh_hint: Duration,
}

/// The endpoint with its documents as they are now.
struct Public {
    api: PublicApi,
    bundle: MadeOf<OwnState, Cached>,
    discovery: MadeOf<OwnState, Cached>,
    keys: MadeOf<OwnState, Cached>,
    map: MadeOf<(OwnState, u64), Option<Cached>>,
    lists: MadeOf<SetState, Cached>,
}

/// The revocation lists; those that went out at different times are other ones.
#[derive(Clone)]
struct SetState(Arc<CrlSet>);

impl PartialEq for SetState {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The own bundle; of two equal ones made at different times each is another state.
#[derive(Clone)]
struct OwnState(Arc<TrustBundle>);

impl PartialEq for OwnState {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Public {
    fn own_state(&self) -> OwnState {
        OwnState(Arc::clone(&self.api.bundle.borrow()))
    }

    fn cached(&self, media_type: &'static str, document: String) -> Cached {
        Cached::new(media_type, document, self.api.refresh_hint)
    }
}

/// Returns the routes of the public endpoint.
pub fn router(api: PublicApi) -> Router {
    // An issuer's path may have segments that begin with ':' or '*', which mean nothing here.
    let mut routes = Router::new().without_v07_checks().route(BUNDLE_PATH, get(bundle));
    if let Some(issuer) = &api.issuer {
        let [of_discovery, of_keys] = issuer_paths(issuer);
        routes = routes.route(&of_discovery, get(discovery)).route(&of_keys, get(keys));
    }
    if api.registry.is_some() {
        routes = routes.route(map::PATH, get(bundle_map));
    }
    if api.lists.is_some() {
        routes = routes.route(lists::PATH, get(revocation_lists));
    }
    if let Some(path) = api.url.as_ref().map(EndpointUrl::path).filter(|path| *path != BUNDLE_PATH)
        && !is_taken(path, api.issuer.as_ref())
    {
        routes = routes.route(path, get(bundle));
    }
    routes.with_state(Arc::new(Public {
        api,
        bundle: MadeOf::default(),
        discovery: MadeOf::default(),
        keys: MadeOf::default(),
        map: MadeOf::default(),
        lists: MadeOf::default(),
    }))
}

/// Where the bundle is.
const BUNDLE_PATH: &str = "/";

fn issuer_paths(issuer: &IssuerUrl) -> [String; 2] {
    [discovery::PATH, discovery::KEYS_PATH].map(|path| format!("{}{path}", issuer.path()))
}

/// Returns whether something else than the bundle is served at a path, or would be with the Bundle Map on.
pub(crate) fn is_taken(path: &str, issuer: Option<&IssuerUrl>) -> bool {
    path == map::PATH || path == lists::PATH || issuer.is_some_and(|issuer| issuer_paths(issuer).iter().any(|taken| taken == path))
}

/// The SPIFFE bundle document.
async fn bundle(State(public): State<Arc<Public>>, headers: HeaderMap) -> Response {
    let own = public.own_state();
    let make = async { Ok(public.cached(JSON, own.0.to_spiffe_json())) };
    answer(public.bundle.at(own.clone(), make).await, &headers)
}

/// The Bundle Map. It is made in a task of its own: one who asks and goes away again does not have it made for nothing.
async fn bundle_map(State(public): State<Arc<Public>>, headers: HeaderMap) -> Response {
    match tokio::spawn(newest_map(public)).await {
        Ok(Ok(map)) => map.as_ref().as_ref().map_or_else(no_map, |map| map.answer(&headers)),
        Ok(Err(Interrupted)) | Err(_) => interrupted(),
    }
}

async fn newest_map(public: Arc<Public>) -> Result<Arc<Option<Cached>>, Interrupted> {
    let Some(registry) = &public.api.registry else { return Ok(Arc::new(None)) };
    let own = public.own_state();
    let state = (own.clone(), registry.view(registry::State::partners_changed_at));
    let make = async {
        // What is read here may be newer than the state that it is kept under: then the next who asks finds another state, and it is made once more.
        let partners: Vec<_> = registry.view(|state| state.partners.listed(None).map(|held| Arc::clone(&held.partner)).collect());
        let max_age = public.api.refresh_hint;
        // A thousand partners take tens of milliseconds, in which this thread would serve nobody.
        let making = tokio::task::spawn_blocking(move || map::document(&own.0, &partners).map(|document| Cached::new(JSON, document, max_age)));
        making.await.map_err(|_| Interrupted)
    };
    public.map.at(state, make).await
}

/// The revocation lists, once there are any.
async fn revocation_lists(State(public): State<Arc<Public>>, headers: HeaderMap) -> Response {
    let set = public.api.lists.as_ref().and_then(|registry| registry.view(|state| state.crls.set().cloned()));
    let Some(set) = set else { return no_lists() };
    let make = async { Ok(public.cached(lists::PEM, lists::document(&set))) };
    answer(public.lists.at(SetState(Arc::clone(&set)), make).await, &headers)
}

/// The discovery document.
async fn discovery(State(public): State<Arc<Public>>, headers: HeaderMap) -> Response {
    let own = public.own_state();
    let make = async {
        let document = public.api.issuer.as_ref().map(|issuer| discovery::document(issuer, own.0.jwt_authorities()));
        Ok(public.cached(JSON, document.unwrap_or_default()))
    };
    answer(public.discovery.at(own.clone(), make).await, &headers)
}

/// The keys of JWT-SVIDs, and no others.
async fn keys(State(public): State<Arc<Public>>, headers: HeaderMap) -> Response {
    let own = public.own_state();
    let make = async { Ok(public.cached(JWK_SET, own.0.to_jwks())) };
    answer(public.keys.at(own.clone(), make).await, &headers)
}

fn answer(made: Result<Arc<Cached>, Infallible>, asked: &HeaderMap) -> Response {
    let Ok(document) = made;
    document.answer(asked)
}

/// The process ends, or a document could not be made.
struct Interrupted;

fn no_map() -> Response {
    problem_response(Problem::new(Code::NotFound, format!("there is no {}", map::PATH)))
}

fn no_lists() -> Response {
    problem_response(Problem::new(Code::NotFound, "no revocation lists are in use here".to_owned()))
}

fn interrupted() -> Response {
    problem_response(Problem::new(Code::Internal, "the Bundle Map was not made".to_owned()))
}

#[cfg(test)]
mod tests;
