//! Trust bundles: list, show, set, delete. The own one comes first, and only its authorities change it.

use axum::extract::State;
use platform::trace::{ApiError, ApiJson, ApiPath, ApiQuery};
use serde::Deserialize;
use trust_domains::wire::admin::Page;
use trust_domains::wire::bundles::{BundleDeleted, BundleSet, BundleView, FederatedEntries, SetBundle};
use trust_domains::{SpiffeBundle, TrustDomain};

use super::caller::Operator;
use super::tokens::ListQuery;
use super::{Api, page};
use crate::limits::BUNDLE_BODY;
use crate::registry::edit::BundleRefused;

/// How to delete.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    #[serde(default)]
    entries: FederatedEntries,
}

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<BundleView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after: Option<TrustDomain> = page::after(query.after)?;
    let own = BundleView::of_own(&api.bundle.borrow());
    // After the own one, which stands first, come all partners by their names.
    let behind = after.as_ref().filter(|after| **after != api.trust_domain);
    let mut items: Vec<BundleView> = after.is_none().then_some(own).into_iter().collect();
    let more = api.registry.view(|state| {
        let mut partners = state.partners.listed(behind).map(|held| {
            let entries = state.entries_federating(held.partner.trust_domain());
            BundleView::of_partner(&held.partner, entries)
        });
        items.extend(partners.by_ref().take(limit - items.len()));
        partners.next().is_some()
    });
    let next = items.last().filter(|_| more).map(|last| last.trust_domain.to_string());
    Ok(ApiJson(Page { items, next }))
}

pub(super) async fn show(State(api): Api, ApiPath(text): ApiPath<String>) -> Result<ApiJson<SpiffeBundle>, ApiError> {
    let trust_domain: TrustDomain = named(&text)?;
    if trust_domain == api.trust_domain {
        return Ok(ApiJson(SpiffeBundle::from(&**api.bundle.borrow())));
    }
    let held = api.registry.view(|state| state.partners.find(&trust_domain).cloned());
    let held = held.ok_or(BundleRefused::NotFound { trust_domain })?;
    Ok(ApiJson(held.partner.document().clone()))
}

pub(super) async fn set(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<SetBundle, BUNDLE_BODY>,
) -> Result<ApiJson<BundleSet>, ApiError> {
    Ok(ApiJson(api.editor.set_bundle(named(&text)?, &request, &cause).await?))
}

pub(super) async fn delete(
    State(api): Api,
    Operator(cause): Operator,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<DeleteQuery>,
) -> Result<ApiJson<BundleDeleted>, ApiError> {
    Ok(ApiJson(api.editor.delete_bundle(&named(&text)?, query.entries, &cause).await?))
}

fn named(text: &str) -> Result<TrustDomain, ApiError> {
    Ok(text.parse::<TrustDomain>()?)
}
