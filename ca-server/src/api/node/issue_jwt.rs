//! JWT-SVIDs for the workloads of a node.

use std::sync::Arc;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::problem::{Coded as _, Problem};
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, TokenResult};

use super::NodeState;
use super::caller::NodeCaller;
use crate::limits::NODE_BODY;

pub(super) async fn issue(
    State(api): State<Arc<NodeState>>,
    caller: NodeCaller,
    ApiJson(request): ApiJson<IssueJwtRequest, NODE_BODY>,
) -> Result<ApiJson<IssueTokensResponse>, ApiError> {
    let outcome = api.issuance.issue_tokens(&caller.node, &caller.trace_id, request.requests).await;
    let response = outcome.inspect_err(|error| api.metrics.refused("issue_jwt", error.code()))?;
    let mut refusals = 0;
    for result in &response.results {
        if let TokenResult::Refused { problem, .. } = result {
            refusals += 1;
            api.metrics.refused("issue_jwt", Problem::code(problem));
        }
    }
    api.metrics.tokens_issued(response.results.len() - refusals);
    Ok(ApiJson(response))
}
