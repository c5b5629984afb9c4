//! Wraps the data key by another source.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::wire::admin::{RekeyRequest, Rekeyed};

use super::Api;
use super::caller::Operator;

pub(super) async fn rekey(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<RekeyRequest>) -> Result<ApiJson<Rekeyed>, ApiError> {
    Ok(ApiJson(api.rekeying.rekey(request, &cause).await?))
}
