//! JWT-SVIDs and WIT-SVIDs for the workloads of a node.

use std::sync::Arc;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::problem::{Coded as _, Problem};
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, IssueWitRequest, TokenResult};

use super::NodeState;
use super::caller::NodeCaller;
use crate::issuance::IssueError;
use crate::limits::NODE_BODY;

type Api = State<Arc<NodeState>>;
type Body<T> = ApiJson<T, NODE_BODY>;
type Answer = Result<ApiJson<IssueTokensResponse>, ApiError>;

pub(super) async fn jwt(State(api): Api, caller: NodeCaller, ApiJson(request): Body<IssueJwtRequest>) -> Answer {
    let outcome = api.issuance.issue_tokens(&caller.node, &caller.trace_id, request.requests).await;
    let response = refusals_counted(&api, "issue_jwt", outcome)?;
    api.metrics.jwts_issued(issued(&response));
    Ok(ApiJson(response))
}

pub(super) async fn wit(State(api): Api, caller: NodeCaller, ApiJson(request): Body<IssueWitRequest>) -> Answer {
    let exporter = &caller.connection.exporter;
    let outcome = api.issuance.issue_wits(&caller.node, exporter, &caller.trace_id, request.requests).await;
    let response = refusals_counted(&api, "issue_wit", outcome)?;
    api.metrics.wits_issued(issued(&response));
    Ok(ApiJson(response))
}

fn refusals_counted(api: &NodeState, call: &'static str, outcome: Result<IssueTokensResponse, IssueError>) -> Result<IssueTokensResponse, IssueError> {
    let response = outcome.inspect_err(|error| api.metrics.refused(call, error.code()))?;
    for result in &response.results {
        if let TokenResult::Refused { problem, .. } = result {
            api.metrics.refused(call, Problem::code(problem));
        }
    }
    Ok(response)
}

fn issued(response: &IssueTokensResponse) -> usize {
    let is_issued = |result: &&TokenResult| matches!(result, TokenResult::Issued(_));
    response.results.iter().filter(is_issued).count()
}
