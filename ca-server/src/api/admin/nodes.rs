//! Nodes: list, show, ban, evict.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiPath, ApiQuery};
use trust_domains::wire::admin::{NodeView, Page};

use super::caller::Operator;
use super::tokens::ListQuery;
use super::{AdminState, Api, page};
use crate::registry::HeldNode;

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<NodeView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after = page::after(query.after)?;
    let held: Vec<_> = api.registry.view(|state| state.nodes.listed(after.as_ref()).take(limit + 1).cloned().collect());
    let more = held.len() > limit;
    let items: Vec<_> = held.iter().take(limit).map(|held| view(&api, held)).collect();
    let next = items.last().filter(|_| more).map(|last| last.name.to_string());
    Ok(ApiJson(Page { items, next }))
}

pub(super) async fn show(State(api): Api, ApiPath(name): ApiPath<String>) -> Result<ApiJson<NodeView>, ApiError> {
    Ok(ApiJson(view(&api, &api.registry.find_node(&api.trust_domain, &name)?)))
}

pub(super) async fn ban(State(api): Api, Operator(cause): Operator, ApiPath(name): ApiPath<String>) -> Result<ApiJson<NodeView>, ApiError> {
    Ok(ApiJson(view(&api, &api.editor.ban(&name, &cause).await?)))
}

pub(super) async fn evict(State(api): Api, Operator(cause): Operator, ApiPath(name): ApiPath<String>) -> Result<ApiJson<NodeView>, ApiError> {
    let held = api.editor.evict(&name, &cause).await?;
    // As it was: what it had open is ending.
    Ok(ApiJson(NodeView {
        connected: false,
        acknowledged: None,
        ..view(&api, &held)
    }))
}

fn view(api: &AdminState, held: &HeldNode) -> NodeView {
    let record = &held.record;
    let presence = api.registry.presence();
    NodeView {
        spiffe_id: record.spiffe_id().clone(),
        name: record.name().clone(),
        state: record.state(api.clock.now().wall),
        connected: presence.is_connected(record.spiffe_id()),
        attestation: record.attestation().to_string(),
        selectors: record.selectors().to_vec(),
        expires_at: record.expires_at(),
        joined_at: record.joined_at(),
        acknowledged: presence.acknowledged(record.spiffe_id()).map(|counter| api.registry.at(counter)),
    }
}
