//! Revocation: order, list.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiQuery};
use trust_domains::wire::admin::{Page, RevocationView, RevokeRequest, Revoked};

use super::caller::Operator;
use super::tokens::ListQuery;
use super::{Api, page};

pub(super) async fn revoke(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<RevokeRequest>) -> Result<ApiJson<Revoked>, ApiError> {
    Ok(ApiJson(api.revocations.revoke(&request, &cause).await?))
}

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<RevocationView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after = page::after(query.after)?;
    let (items, more) = api.revocations.list(after.as_ref(), limit);
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(ApiJson(Page { items, next }))
}
