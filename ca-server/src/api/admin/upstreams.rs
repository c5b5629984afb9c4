//! Upstream authorities: list cross-certificates, make a request for one, take one, remove one.

use axum::extract::State;
use http::StatusCode;
use platform::trace::{ApiError, ApiJson, ApiPath};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::upstream::CrossUse;
use trust_domains::wire::admin::Page;
use trust_domains::wire::upstreams::{CrossSign, CrossView, Csr, CsrRequest, MAX_CHAIN_PEM};

use super::Api;
use super::caller::Operator;
use crate::authority::upstream::TakeCross;

/// The longest body of a call: the longest chain, with its line ends escaped.
const CHAIN_BODY: usize = 2 * MAX_CHAIN_PEM;

pub(super) async fn list(State(api): Api) -> ApiJson<Page<CrossView>> {
    ApiJson(Page {
        items: api.authorities.upstreams(),
        next: None,
    })
}

pub(super) async fn csr(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<CsrRequest>) -> Result<ApiJson<Csr>, ApiError> {
    let root = request.root.as_ref().map(AuthorityId::as_str);
    Ok(ApiJson(api.authorities.csr(root, &cause).await?))
}

pub(super) async fn take(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<CrossSign, CHAIN_BODY>) -> Result<ApiJson<CrossView>, ApiError> {
    let taken = TakeCross {
        root: request.root.as_ref().map(AuthorityId::as_str),
        chain_pem: &request.chain_pem,
        used: CrossUse {
            is_sent: request.sent,
            is_dedicated: request.dedicated,
        },
    };
    Ok(ApiJson(api.authorities.cross_sign(&taken, &cause).await?))
}

pub(super) async fn remove(State(api): Api, Operator(cause): Operator, ApiPath(id): ApiPath<String>) -> Result<StatusCode, ApiError> {
    api.authorities.remove_upstream(&id, &cause).await?;
    Ok(StatusCode::NO_CONTENT)
}
