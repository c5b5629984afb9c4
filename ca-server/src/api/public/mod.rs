//! What strangers may fetch: the bundle, and for OpenID Connect relying parties the discovery document and the keys of JWT-SVIDs.
//!
//! Everything here is public, and the same for everybody. The issuer's path is where the issuer URL says (OpenID Connect Discovery 1.0 section 4).

mod cached;
mod discovery;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use tokio::sync::watch;
use trust_domains::TrustBundle;
use trust_domains::jwt_svid::IssuerUrl;

use cached::{Cached, JSON, JWK_SET};

/// What the public endpoint tells.
#[derive(Debug, Clone)]
pub struct PublicApi {
    /// The trust bundle.
    pub bundle: watch::Receiver<Arc<TrustBundle>>,
    /// The issuer that tokens name; without one there is no OpenID Connect here.
    pub issuer: Option<IssuerUrl>,
    /// How long an answer may be kept. A key signs no earlier than five of these after it was published, so whoever keeps to it knows each in time.
    pub refresh_hint: Duration,
}

/// Returns the routes of the public endpoint.
pub fn router(api: PublicApi) -> Router {
    // An issuer's path may have segments that begin with ':' or '*', which mean nothing here.
    let routes = Router::new().without_v07_checks().route("/", get(bundle));
    let routes = match &api.issuer {
        Some(issuer) => routes
            .route(&format!("{}{}", issuer.path(), discovery::PATH), get(discovery))
            .route(&format!("{}{}", issuer.path(), discovery::KEYS_PATH), get(keys)),
        None => routes,
    };
    routes.with_state(Arc::new(api))
}

/// The SPIFFE bundle document.
async fn bundle(State(api): State<Arc<PublicApi>>, headers: HeaderMap) -> Response {
    let document = api.bundle.borrow().to_spiffe_json();
    Cached::new(JSON, document, api.refresh_hint).answer(&headers)
}

/// The discovery document.
async fn discovery(State(api): State<Arc<PublicApi>>, headers: HeaderMap) -> Response {
    let bundle = Arc::clone(&api.bundle.borrow());
    let document = api.issuer.as_ref().map(|issuer| discovery::document(issuer, bundle.jwt_authorities()));
    let document = document.unwrap_or_default();
    Cached::new(JSON, document, api.refresh_hint).answer(&headers)
}

/// The keys of JWT-SVIDs, and no others.
async fn keys(State(api): State<Arc<PublicApi>>, headers: HeaderMap) -> Response {
    let document = api.bundle.borrow().to_jwks();
    Cached::new(JWK_SET, document, api.refresh_hint).answer(&headers)
}

#[cfg(test)]
mod tests;
