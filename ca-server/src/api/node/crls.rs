//! Revocation lists that a node hands back to a server that knows of fewer.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use platform::trace::{ApiError, ApiJson};
use trust_domains::problem::Coded as _;
use trust_domains::wire::crls::HandedBack;

use super::NodeState;
use super::caller::NodeCaller;
use crate::limits::HANDED_BACK_BODY;

pub(super) async fn hand_back(
    State(api): State<Arc<NodeState>>,
    caller: NodeCaller,
    ApiJson(handed): ApiJson<HandedBack, HANDED_BACK_BODY>,
) -> Result<StatusCode, ApiError> {
    let bundle = Arc::clone(&api.bundle.borrow());
    let taken = api.revocations.take_back(&handed, &bundle, caller.node.spiffe_id(), &caller.cause()).await;
    let serials = taken.inspect_err(|error| api.metrics.refused("crls", error.code()))?;
    if serials > 0 {
        tracing::warn!(node = %caller.node.spiffe_id(), serials, "a node handed back revocation lists of this server that it had forgotten");
    }
    Ok(StatusCode::NO_CONTENT)
}
