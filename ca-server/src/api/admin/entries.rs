//! Entries: create, apply, list, show, update, delete.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiPath, ApiQuery};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use trust_domains::problem::{Code, Problem};
use trust_domains::wire::admin::{ApplyEntries, ApplyOutcome, Count, CreateEntries, EntriesCreated, EntryChange, EntryDeleted, EntryView, Page};
use trust_domains::{SpiffeId, TrustDomain};

use super::caller::Operator;
use super::{AdminState, Api, page};
use crate::limits::{BULK_BODY, BULK_CALLS};
use crate::registry::edit::EditError;
use crate::registry::{HeldEntry, ListPosition, State as Registered};

/// Which part of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    after: Option<String>,
    spiffe_id: Option<String>,
    parent: Option<String>,
}

pub(super) async fn create(
    State(api): Api,
    Operator(cause): Operator,
    ApiJson(request): ApiJson<CreateEntries, BULK_BODY>,
) -> Result<ApiJson<EntriesCreated>, ApiError> {
    let _turn = turn(&api, request.entries.len()).await?;
    let created = api.editor.create(request.entries, &cause).await?;
    Ok(ApiJson(EntriesCreated {
        entries: created.entries,
        warnings: created.warnings,
        revision: created.revision,
    }))
}

pub(super) async fn apply(
    State(api): Api,
    Operator(cause): Operator,
    ApiJson(request): ApiJson<ApplyEntries, BULK_BODY>,
) -> Result<ApiJson<ApplyOutcome>, ApiError> {
    let _turn = turn(&api, usize::MAX).await?;
    let applied = !request.dry_run;
    let outcome = api.editor.apply(request, &cause).await?;
    Ok(ApiJson(ApplyOutcome {
        steps: outcome.steps,
        unchanged: outcome.unchanged,
        applied,
        warnings: outcome.warnings,
        revision: outcome.revision,
    }))
}

/// Waits for a turn among the bulk calls; a few entries go at once.
async fn turn(api: &AdminState, entries: usize) -> Result<Option<SemaphorePermit<'_>>, ApiError> {
    if entries <= FEW {
        return Ok(None);
    }
    let closed = |_| ApiError::new(Problem::new(Code::Overloaded, format!("{BULK_CALLS} bulk calls are being answered already")));
    api.bulk.acquire().await.map(Some).map_err(closed)
}

/// Entries of a call that is no bulk call.
const FEW: usize = 100;

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<EntryView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after = query.after.as_deref().map(page::position_of).transpose()?;
    let identity = query.spiffe_id.as_deref().map(|text| SpiffeId::expand(&api.trust_domain, text)).transpose()?;
    let parent = query.parent.as_deref().map(|text| parent(&api, &api.trust_domain, text)).transpose()?;
    let mut held = api
        .registry
        .view(|state| part(state, after.as_ref(), identity.as_ref(), parent.as_ref(), limit + 1));
    let next = (held.len() > limit)
        .then(|| held.truncate(limit))
        .and_then(|()| held.last())
        .map(|last| page::token_of(&position(last)));
    let items = held.iter().map(|held| held.entry.view(api.registry.at(held.modified))).collect();
    Ok(ApiJson(Page { items, next }))
}

/// Takes the shortest way to the entries that are asked for: by identity, by node, or through all of them.
fn part(state: &Registered, after: Option<&ListPosition>, identity: Option<&SpiffeId>, parent: Option<&SpiffeId>, limit: usize) -> Vec<HeldEntry> {
    let of_parent = |held: &&HeldEntry| parent.is_none_or(|parent| held.entry.parent_id() == parent);
    let behind = |held: &&HeldEntry| after.is_none_or(|after| (held.entry.spiffe_id(), held.entry.id()) > (&after.spiffe_id, &after.id));
    match (identity, parent) {
        (Some(identity), _) => state.entries.giving(identity).filter(of_parent).filter(behind).take(limit).cloned().collect(),
        (None, Some(parent)) => {
            let mut held: Vec<_> = state.entries.under(parent).filter(behind).cloned().collect();
            held.sort_by(|one, other| (one.entry.spiffe_id(), one.entry.id()).cmp(&(other.entry.spiffe_id(), other.entry.id())));
            held.truncate(limit);
            held
        }
        (None, None) => state.entries.listed(after).take(limit).cloned().collect(),
    }
}

fn position(held: &HeldEntry) -> ListPosition {
    ListPosition {
        spiffe_id: held.entry.spiffe_id().clone(),
        id: held.entry.id().clone(),
    }
}

/// A parent in a filter: a SPIFFE ID, of a node that is known or not, or a node's name.
fn parent(api: &AdminState, trust_domain: &TrustDomain, text: &str) -> Result<SpiffeId, EditError> {
    if text.starts_with('/') || text.contains("://") {
        return Ok(SpiffeId::expand(trust_domain, text)?);
    }
    Ok(api.registry.find_node(trust_domain, text)?.record.spiffe_id().clone())
}

pub(super) async fn count(State(api): Api) -> ApiJson<Count> {
    ApiJson(Count {
        count: api.registry.view(|state| state.entries.len()),
    })
}

pub(super) async fn show(State(api): Api, ApiPath(id): ApiPath<String>) -> Result<ApiJson<EntryView>, ApiError> {
    let held = api.registry.find_entry(&api.trust_domain, &id)?;
    Ok(ApiJson(held.entry.view(api.registry.at(held.modified))))
}

pub(super) async fn update(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(id): ApiPath<String>,
    ApiJson(change): ApiJson<EntryChange>,
) -> Result<ApiJson<EntryView>, ApiError> {
    Ok(ApiJson(api.editor.update(&id, &change, &cause).await?))
}

pub(super) async fn delete(State(api): Api, Operator(cause): Operator, ApiPath(id): ApiPath<String>) -> Result<ApiJson<EntryDeleted>, ApiError> {
    Ok(ApiJson(api.editor.delete(&id, &cause).await?))
}
