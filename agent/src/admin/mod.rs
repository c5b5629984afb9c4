//! The agent's admin socket: how the agent is, why a process gets what it gets, and leaving.

mod explain;
mod status;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use platform::telemetry::HealthHandle;
use platform::trace::{ApiError, ApiQuery, edge};
use serde::Deserialize;
use trust_domains::wire::admin::Health;
use trust_domains::wire::agent::{AgentStatus, Explanation};

pub(crate) use status::Sinks;

use crate::endpoints::Endpoints;
use crate::jwt_svids::JwtCache;
use crate::node::{Leaver, Standing};
use crate::svids::SvidCache;
use crate::wit_svids::WitCache;
use crate::workload::Attestor;

/// What the admin API shows.
pub(crate) struct Admin {
    pub(crate) standing: Standing,
    pub(crate) cache: SvidCache,
    pub(crate) tokens: JwtCache,
    pub(crate) wits: Option<WitCache>,
    pub(crate) endpoints: Endpoints,
    pub(crate) attestor: Arc<Attestor>,
    pub(crate) health: HealthHandle,
    pub(crate) sinks: Sinks,
    pub(crate) leaver: Leaver,
    pub(crate) workload_socket: String,
    pub(crate) sds_socket: String,
    /// Where the Broker API is served.
    pub(crate) broker_addresses: Vec<String>,
}

/// Where the status is: what an agent asks itself to know that it answers.
pub(crate) const STATUS_PATH: &str = "/v1/agent/status";

/// Which process to explain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    pid: i32,
}

/// Returns the routes of the admin socket.
pub(crate) fn router(admin: Admin) -> Router {
    let routes = Router::new()
        .route(STATUS_PATH, get(show_status))
        .route("/v1/agent/explain", get(explain_process))
        .route("/v1/agent/health", get(show_health))
        .route("/v1/agent/leave", post(leave));
    edge(routes.with_state(Arc::new(admin)))
}

async fn show_status(State(admin): State<Arc<Admin>>) -> Json<AgentStatus> {
    Json(admin.status())
}

async fn show_health(State(admin): State<Arc<Admin>>) -> Json<Health> {
    Json(admin.health.snapshot())
}

async fn explain_process(State(admin): State<Arc<Admin>>, ApiQuery(which): ApiQuery<Which>) -> Result<Json<Explanation>, ApiError> {
    Ok(Json(admin.explain(which.pid).await?))
}

/// Answers before the process ends: the listener finishes what is under way.
async fn leave(State(admin): State<Arc<Admin>>) -> Result<StatusCode, ApiError> {
    admin.leaver.leave().await?;
    Ok(StatusCode::NO_CONTENT)
}
