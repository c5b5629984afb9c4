//! Authorities: list, prepare, activate, taint, revoke, replace; and the clock.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiPath};
use trust_domains::TrustDomain;
use trust_domains::plan::authority::{AuthorityId, Extent, OrderId};
use trust_domains::wire::admin::Page;
use trust_domains::wire::authorities::{AuthorityView, Because, ClockAccepted, OrderAnswer, PrepareRequest, ReplaceRequest, ReplacementView};

use super::caller::Operator;
use super::{AdminState, Api};
use crate::authority::OrderError;

pub(super) async fn list(State(api): Api) -> ApiJson<Page<AuthorityView>> {
    ApiJson(Page {
        items: api.authorities.views(&partners(&api)).into_iter().map(|view| counted(&api, view)).collect(),
        next: None,
    })
}

pub(super) async fn prepare(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<PrepareRequest>) -> Result<ApiJson<AuthorityView>, ApiError> {
    let made = api.authorities.prepare(request.kind, request.because.as_deref(), &cause).await?;
    Ok(ApiJson(view(&api, &made)?))
}

pub(super) async fn activate(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(id): ApiPath<String>,
    ApiJson(Because { because }): ApiJson<Because>,
) -> Result<ApiJson<AuthorityView>, ApiError> {
    let id = api.authorities.activate_ordered(&id, because.as_deref(), &cause).await?;
    Ok(ApiJson(view(&api, &id)?))
}

pub(super) async fn taint(api: Api, operator: Operator, id: ApiPath<String>, because: ApiJson<Because>) -> Result<ApiJson<OrderAnswer>, ApiError> {
    take_away(api, operator, id, because, Extent::Taint).await
}

pub(super) async fn revoke(api: Api, operator: Operator, id: ApiPath<String>, because: ApiJson<Because>) -> Result<ApiJson<OrderAnswer>, ApiError> {
    take_away(api, operator, id, because, Extent::Withdraw).await
}

async fn take_away(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(id): ApiPath<String>,
    ApiJson(Because { because }): ApiJson<Because>,
    extent: Extent,
) -> Result<ApiJson<OrderAnswer>, ApiError> {
    // As it was: an order about one that was never used forgets it.
    let before = api.authorities.views(&partners(&api)).into_iter().find(|authority| authority.id.as_str() == id);
    let order = api.authorities.take_away(&id, extent, because.as_deref(), &cause).await?;
    let authority = before.ok_or(OrderError::NotFound { id })?;
    let now = api.authorities.view(&authority.id, &partners(&api));
    Ok(ApiJson(OrderAnswer {
        authority: counted(&api, now.unwrap_or(authority)),
        replacement: replacement(&api, &order)?,
    }))
}

pub(super) async fn replace(
    State(api): Api,
    Operator(cause): Operator,
    ApiJson(request): ApiJson<ReplaceRequest>,
) -> Result<ApiJson<ReplacementView>, ApiError> {
    if request.dry_run {
        return Ok(ApiJson(api.authorities.rehearse(&request)?));
    }
    let order = api.authorities.replace(&request, &cause).await?;
    Ok(ApiJson(replacement(&api, &order)?))
}

pub(super) async fn replacements(State(api): Api) -> ApiJson<Page<ReplacementView>> {
    ApiJson(Page {
        items: api.authorities.replacements(),
        next: None,
    })
}

pub(super) async fn clock_ok(
    State(api): Api,
    Operator(cause): Operator,
    ApiJson(Because { because }): ApiJson<Because>,
) -> Result<ApiJson<ClockAccepted>, ApiError> {
    Ok(ApiJson(api.authorities.accept_clock(because.as_deref(), &cause).await?))
}

fn view(api: &AdminState, id: &AuthorityId) -> Result<AuthorityView, OrderError> {
    let found = api.authorities.view(id, &partners(api));
    let found = found.map(|view| counted(api, view));
    found.ok_or_else(|| OrderError::NotFound { id: id.to_string() })
}

/// Adds how much it has signed that has not ended: the journal of this replica knows.
fn counted(api: &AdminState, view: AuthorityView) -> AuthorityView {
    let signed = api.journal.signed_by(view.id.as_str(), api.clock.now().wall);
    AuthorityView { signed: Some(signed), ..view }
}

fn replacement(api: &AdminState, id: &OrderId) -> Result<ReplacementView, OrderError> {
    let found = api.authorities.replacement_of(id);
    found.ok_or_else(|| OrderError::NotFound { id: id.to_string() })
}

/// The trust domains whose bundles we hold: those are who fetch ours.
fn partners(api: &AdminState) -> Vec<TrustDomain> {
    api.registry
        .view(|state| state.partners.listed(None).map(|held| held.partner.trust_domain().clone()).collect())
}
