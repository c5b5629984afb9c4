//! Relationships with partner trust domains.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiPath, ApiQuery};
use serde::Deserialize;
use trust_domains::TrustDomain;
use trust_domains::join_link::RootHash;
use trust_domains::wire::admin::Page;
use trust_domains::wire::bundles::FederatedEntries;
use trust_domains::wire::federation::{
    AcceptLink, Accepted, CreateRelationship, FederationChanges, Invite, RelationshipDeleted, RelationshipSaved, RelationshipView, UpdateRelationship,
};

use super::caller::Operator;
use super::tokens::ListQuery;
use super::{Api, page};
use crate::limits::BUNDLE_BODY;
use crate::registry::edit::RelationshipRefused;

/// How to end a relationship.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    entries: Option<FederatedEntries>,
}

/// Which changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesQuery {
    #[serde(default)]
    since: u64,
}

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<RelationshipView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after: Option<TrustDomain> = page::after(query.after)?;
    let (items, more) = api.federation.list(after.as_ref(), limit);
    let next = items.last().filter(|_| more).map(|last| last.trust_domain.to_string());
    Ok(ApiJson(Page { items, next }))
}

pub(super) async fn create(
    State(api): Api,
    Operator(cause): Operator,
    ApiJson(request): ApiJson<CreateRelationship, BUNDLE_BODY>,
) -> Result<ApiJson<RelationshipSaved>, ApiError> {
    Ok(ApiJson(api.federation.create(request, &cause).await?))
}

pub(super) async fn show(State(api): Api, ApiPath(text): ApiPath<String>) -> Result<ApiJson<RelationshipView>, ApiError> {
    let trust_domain = named(&text)?;
    let found = api.federation.show(&trust_domain);
    Ok(ApiJson(found.ok_or(RelationshipRefused::NotFound { trust_domain })?))
}

pub(super) async fn update(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<UpdateRelationship, BUNDLE_BODY>,
) -> Result<ApiJson<RelationshipSaved>, ApiError> {
    Ok(ApiJson(api.federation.update(&named(&text)?, request, &cause).await?))
}

pub(super) async fn delete(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<DeleteQuery>,
) -> Result<ApiJson<RelationshipDeleted>, ApiError> {
    // Entries that name a partner stay as they are unless it is asked otherwise: the same partner may come back.
    let entries = query.entries.unwrap_or(FederatedEntries::Keep);
    Ok(ApiJson(api.federation.delete(&named(&text)?, entries, &cause).await?))
}

pub(super) async fn refresh(State(api): Api, Operator(cause): Operator, ApiPath(text): ApiPath<String>) -> Result<ApiJson<RelationshipView>, ApiError> {
    Ok(ApiJson(api.federation.refresh(&named(&text)?, &cause).await?))
}

pub(super) async fn invite(State(api): Api) -> Result<ApiJson<Invite>, ApiError> {
    let roots = api.authorities.join_roots().iter().map(|der| RootHash::of_der(der)).collect();
    let endpoint = api.own_endpoint.as_ref().map(|own| (&own.url, &own.profile));
    let mut invite = api.federation.invite(endpoint, roots)?;
    // The link is handed out all the same: the certificate may be put right before anybody accepts it.
    let doubt = api.own_endpoint.as_ref().and_then(|own| own.doubt());
    invite.warnings.extend(doubt.map(|doubt| doubt.to_string()));
    Ok(ApiJson(invite))
}

pub(super) async fn accept(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<AcceptLink>) -> Result<ApiJson<Accepted>, ApiError> {
    Ok(ApiJson(api.federation.accept(request, &cause).await?))
}

pub(super) async fn changes(State(api): Api, ApiQuery(query): ApiQuery<ChangesQuery>) -> ApiJson<FederationChanges> {
    let changed = api.shutdown.run_until_cancelled(api.federation.changes(query.since)).await;
    ApiJson(changed.unwrap_or(FederationChanges {
        since: query.since,
        items: Vec::new(),
        whole: false,
        deleted: Vec::new(),
    }))
}

fn named(text: &str) -> Result<TrustDomain, ApiError> {
    Ok(text.parse::<TrustDomain>()?)
}
