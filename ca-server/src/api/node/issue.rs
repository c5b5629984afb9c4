//! Certificates for a batch of keys.

use std::sync::Arc;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::problem::{Coded as _, Problem};
use trust_domains::wire::node::{IssueRequest, IssueResponse, IssueResult};

use super::NodeState;
use super::caller::NodeCaller;
use crate::limits::NODE_BODY;

pub(super) async fn issue(
    State(api): State<Arc<NodeState>>,
    caller: NodeCaller,
    ApiJson(request): ApiJson<IssueRequest, NODE_BODY>,
) -> Result<ApiJson<IssueResponse>, ApiError> {
    let outcome = api.issuance.issue_batch(&caller.node, &caller.trace_id, request.requests).await;
    let response = outcome.inspect_err(|error| api.metrics.refused("issue", error.code()))?;
    let refused = response.results.iter().filter_map(|result| match result {
        IssueResult::Issued(_) => None,
        IssueResult::Refused { problem, .. } => Some(Problem::code(problem)),
    });
    let mut refusals = 0;
    for code in refused {
        refusals += 1;
        api.metrics.refused("issue", code);
    }
    api.metrics.issued(response.results.len() - refusals);
    Ok(ApiJson(response))
}
