//! The admin API (`trust_domains::wire::admin`), for the operator on the machine: the socket admits the process's own user and root, and no one else.

mod audit;
mod authorities;
mod backup;
mod bundles;
mod caller;
mod entries;
mod federation;
mod mint;
mod nodes;
mod page;
mod rekey;
mod revocations;
mod status;
mod tokens;
mod upstreams;
mod wait;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use platform::telemetry::HealthHandle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use trust_domains::clock::SharedClock;
use trust_domains::join_link::ServerAddress;
use trust_domains::{TrustBundle, TrustDomain};

use super::admission::{Gate, admit};
use crate::attestation::JoinTokens;
use crate::authority::Authorities;
use crate::decisions::DecisionLog;
use crate::federation::Federation;
use crate::issuance::Issuance;
use crate::journal::Journal;
use crate::limits::{ADMIN_CALLS, BULK_CALLS};
use crate::metrics::Metrics;
use crate::registry::{Editor, Registry};
use crate::rekey::Rekeying;
use crate::revocation::Revocations;
use crate::server::OwnEndpoint;
use crate::store::SharedStore;

/// What the admin API asks.
pub struct AdminApi {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Where everything is, to be backed up.
    pub store: SharedStore,
    /// Entries and nodes.
    pub registry: Arc<Registry>,
    /// Changes them.
    pub editor: Arc<Editor>,
    /// Relationships with partners.
    pub federation: Arc<Federation>,
    /// The join tokens.
    pub tokens: Arc<JoinTokens>,
    /// The authorities.
    pub authorities: Arc<Authorities>,
    /// Revokes certificates.
    pub revocations: Revocations,
    /// Mints tokens.
    pub issuance: Arc<Issuance>,
    /// What is counted.
    pub metrics: Metrics,
    /// The journal, to be read.
    pub journal: Journal,
    /// Wraps the data key by other sources.
    pub rekeying: Arc<Rekeying>,
    /// Takes decisions.
    pub decisions: DecisionLog,
    /// The trust bundle.
    pub bundle: watch::Receiver<Arc<TrustBundle>>,
    /// How the process is.
    pub health: HealthHandle,
    /// The address that join links name.
    pub advertised: Advertised,
    /// What partners need to know of the bundle endpoint, if it is served.
    pub own_endpoint: Option<Arc<OwnEndpoint>>,
    /// The clock.
    pub clock: SharedClock,
    /// Ends waits and streams.
    pub shutdown: CancellationToken,
}

/// The address that nodes are told to connect to.
#[derive(Debug, Clone)]
pub struct Advertised {
    /// The address.
    pub address: ServerAddress,
    /// Where it came from: `advertise`, `listen` or `hostname`.
    pub from: &'static str,
}

/// The admin API with the bulk calls that are under way.
struct AdminState {
    api: AdminApi,
    bulk: Semaphore,
}

impl std::ops::Deref for AdminState {
    type Target = AdminApi;

    fn deref(&self) -> &AdminApi {
        &self.api
    }
}

type Api = axum::extract::State<Arc<AdminState>>;

/// Where health is: what a server asks itself to know that it answers.
pub const HEALTH_PATH: &str = "/v1/admin/health";

/// Returns the routes under `/v1/admin`.
pub fn router(api: AdminApi) -> Router {
    let state = Arc::new(AdminState {
        api,
        bulk: Semaphore::new(BULK_CALLS),
    });
    Router::new()
        .route("/v1/admin/tokens", post(tokens::create).get(tokens::list))
        .route("/v1/admin/tokens/{id}", delete(tokens::delete))
        .route("/v1/admin/entries", post(entries::create).get(entries::list))
        .route("/v1/admin/entries/count", get(entries::count))
        .route("/v1/admin/entries/apply", post(entries::apply))
        .route("/v1/admin/entries/{id}", get(entries::show).patch(entries::update).delete(entries::delete))
        .route("/v1/admin/wait", post(wait::wait))
        .route("/v1/admin/nodes", get(nodes::list))
        .route("/v1/admin/nodes/{name}", get(nodes::show))
        .route("/v1/admin/nodes/{name}/ban", post(nodes::ban))
        .route("/v1/admin/nodes/{name}/evict", post(nodes::evict))
        .route("/v1/admin/revocations", post(revocations::revoke).get(revocations::list))
        .route("/v1/admin/mint-jwt", post(mint::jwt))
        .route("/v1/admin/mint-wit", post(mint::wit))
        .route("/v1/admin/mint-wit/challenge", post(mint::wit_challenge))
        .route("/v1/admin/bundle", get(status::bundle))
        .route("/v1/admin/bundles", get(bundles::list))
        .route("/v1/admin/bundles/{trust_domain}", get(bundles::show).put(bundles::set).delete(bundles::delete))
        .route("/v1/admin/federation", get(federation::list).post(federation::create))
        .route("/v1/admin/federation/{trust_domain}", get(federation::show).put(federation::update))
        .route("/v1/admin/federation/{trust_domain}", delete(federation::delete))
        .route("/v1/admin/federation/{trust_domain}/refresh", post(federation::refresh))
        .route("/v1/admin/federation-invite", get(federation::invite))
        .route("/v1/admin/federation-accept", post(federation::accept))
        .route("/v1/admin/federation-changes", get(federation::changes))
        .route("/v1/admin/authorities", get(authorities::list))
        .route("/v1/admin/authorities/prepare", post(authorities::prepare))
        .route("/v1/admin/authorities/replace", post(authorities::replace))
        .route("/v1/admin/authorities/replacements", get(authorities::replacements))
        .route("/v1/admin/authorities/clock-ok", post(authorities::clock_ok))
        .route("/v1/admin/authorities/{id}/activate", post(authorities::activate))
        .route("/v1/admin/authorities/{id}/taint", post(authorities::taint))
        .route("/v1/admin/authorities/{id}/revoke", post(authorities::revoke))
        .route("/v1/admin/upstreams", get(upstreams::list).post(upstreams::take))
        .route("/v1/admin/upstreams/csr", post(upstreams::csr))
        .route("/v1/admin/upstreams/{id}", delete(upstreams::remove))
        .route("/v1/admin/audit", get(audit::read))
        .route("/v1/admin/rekey", post(rekey::rekey))
        .route("/v1/admin/backup", post(backup::make))
        .route(HEALTH_PATH, get(status::health))
        .layer(from_fn_with_state(Gate::new(ADMIN_CALLS), admit))
        .with_state(state)
}
