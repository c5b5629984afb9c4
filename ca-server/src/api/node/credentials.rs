//! Attest, renew, leave.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use platform::trace::{ApiError, ApiJson};
use trust_domains::problem::Coded as _;
use trust_domains::wire::node::{AttestRequest, NodeCredential, RenewExpiredRequest, RenewRequest};

use super::caller::{RenewingCaller, Stranger};
use super::{NodeState, copied_key};
use crate::attestation::{AttestError, NodeRefused};
use crate::limits::NODE_BODY;

type Api = State<Arc<NodeState>>;
type Body<T> = ApiJson<T, NODE_BODY>;

pub(super) async fn attest(State(api): Api, caller: Stranger, ApiJson(request): Body<AttestRequest>) -> Result<ApiJson<NodeCredential>, ApiError> {
    let outcome = api.attestation.attest(&caller.connection.exporter, &request, &caller.trace_id).await;
    let credential = outcome.inspect_err(|error| api.metrics.refused("attest", error.code()))?;
    api.metrics.attested();
    Ok(ApiJson(credential))
}

pub(super) async fn renew(
    State(api): Api,
    RenewingCaller(caller): RenewingCaller,
    ApiJson(request): Body<RenewRequest>,
) -> Result<ApiJson<NodeCredential>, ApiError> {
    let outcome = api.attestation.renew(&caller.node, &caller.connection, &request, &caller.trace_id).await;
    renewed(&api, outcome)
}

pub(super) async fn renew_expired(State(api): Api, caller: Stranger, ApiJson(request): Body<RenewExpiredRequest>) -> Result<ApiJson<NodeCredential>, ApiError> {
    let outcome = match api.attestation.renew_expired(&caller.connection, &request, &caller.trace_id).await {
        Err(AttestError::Node(NodeRefused::KeyCopied { node })) => Err(copied_key::ban(&api, node, &caller.trace_id).await.into()),
        outcome => outcome,
    };
    renewed(&api, outcome)
}

fn renewed(api: &NodeState, outcome: Result<NodeCredential, AttestError>) -> Result<ApiJson<NodeCredential>, ApiError> {
    let credential = outcome.inspect_err(|error| api.metrics.refused("renew", error.code()))?;
    api.metrics.renewed();
    Ok(ApiJson(credential))
}

pub(super) async fn leave(State(api): Api, RenewingCaller(caller): RenewingCaller) -> Result<StatusCode, ApiError> {
    api.editor.leave(caller.node.spiffe_id(), &caller.cause()).await?;
    Ok(StatusCode::NO_CONTENT)
}
