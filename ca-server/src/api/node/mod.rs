//! The node API (`trust_domains::wire::node`).
//!
//! Who calls is settled before anything is read: [`caller::NodeCaller`] exists only for a connection whose certificate is a known node's, now.

mod caller;
mod copied_key;
mod credentials;
mod crls;
mod issue;
mod issue_tokens;
mod messages;
mod sync;
mod told_partners;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::watch;
use trust_domains::TrustBundle;
use trust_domains::clock::SharedClock;
use trust_domains::plan::authority::AuthorityId;

use super::admission::{Gate, NodeCalls, admit};
use crate::attestation::Attestation;
use crate::decisions::DecisionLog;
use crate::issuance::Issuance;
use crate::limits::{CALLS_PER_NODE, NODE_CALLS, STRANGERS_CALLS};
use crate::metrics::Metrics;
use crate::registry::{Editor, Registry};
use crate::revocation::Revocations;

/// What the node API asks.
pub struct NodeApi {
    /// Entries and nodes.
    pub registry: Arc<Registry>,
    /// Admits and renews nodes.
    pub attestation: Arc<Attestation>,
    /// Issues to workloads.
    pub issuance: Arc<Issuance>,
    /// Takes revocation lists that nodes hand back.
    pub revocations: Revocations,
    /// Lets a node leave.
    pub editor: Arc<Editor>,
    /// Takes decisions.
    pub decisions: DecisionLog,
    /// The trust bundle.
    pub bundle: watch::Receiver<Arc<TrustBundle>>,
    /// The issuing CAs and token keys whose credentials are to be replaced.
    pub tainted: watch::Receiver<Arc<[AuthorityId]>>,
    /// The bundle that the process started with.
    pub first_bundle: Arc<TrustBundle>,
    /// The clock.
    pub clock: SharedClock,
    /// What is counted.
    pub metrics: Metrics,
}

/// The node API with the calls that are under way.
struct NodeState {
    api: NodeApi,
    calls: Arc<NodeCalls>,
}

impl std::ops::Deref for NodeState {
    type Target = NodeApi;

    fn deref(&self) -> &NodeApi {
        &self.api
    }
}

/// Returns the routes under `/v1/node`.
pub fn router(api: NodeApi) -> Router {
    let state = Arc::new(NodeState {
        api,
        calls: NodeCalls::new(CALLS_PER_NODE),
    });
    let strangers = Router::new()
        .route("/v1/node/attest", post(credentials::attest))
        .route("/v1/node/renew-expired", post(credentials::renew_expired))
        .layer(from_fn_with_state(Gate::new(STRANGERS_CALLS), admit));
    let nodes = Router::new()
        .route("/v1/node/renew", post(credentials::renew))
        .route("/v1/node/sync", get(sync::sync))
        .route("/v1/node/ack", post(sync::ack))
        .route("/v1/node/issue", post(issue::issue))
        .route("/v1/node/issue-jwt", post(issue_tokens::jwt))
        .route("/v1/node/issue-wit", post(issue_tokens::wit))
        .route("/v1/node/crls", post(crls::hand_back))
        .route("/v1/node/leave", post(credentials::leave))
        .layer(from_fn_with_state(Gate::new(NODE_CALLS), admit));
    strangers.merge(nodes).with_state(state)
}
