//! Links: making one for partners, and accepting theirs.
//!
//! What a link says is believed only as far as it pins: the endpoint is believed because its chain ends in a root that the link names (`https_spiffe`), or by
//! Web PKI (`https_web`), and the bundle that it sends because it holds such a root.

use trust_domains::bundle::{MAX_BUNDLE_BYTES, ParsedBundle};
use trust_domains::federation::{EndpointProfile, EndpointUrl, FederationLink, FetchStatus, Relationship, RelationshipSpec};
use trust_domains::join_link::RootHash;
use trust_domains::wire::federation::{AcceptLink, Accepted, AcceptedBundle, Invite, RelationshipFacts, RelationshipView};

use super::Federation;
use super::attempt::read;
use super::error::{FederationRefused, FetchFailed};
use super::fetch::{Content, EndpointTrust, FetchTarget};
use crate::decisions::Cause;
use crate::registry::edit::{AcceptedFetch, RelationshipRefused, foreign_roots, passed_over};

impl Federation {
    /// Returns what partners need to federate with this trust domain.
    ///
    /// # Errors
    /// There is no endpoint, or its URL or the roots do not fit into a link.
    pub fn invite(&self, endpoint: Option<(&EndpointUrl, &EndpointProfile)>, roots: Vec<RootHash>) -> Result<Invite, FederationRefused> {
        let (url, profile) = endpoint.ok_or(FederationRefused::NoEndpoint)?;
        let link = FederationLink::new(self.trust_domain.clone(), url.clone(), profile.clone(), roots)?;
        Ok(Invite::from(link))
    }

    /// Accepts a partner's link, or says what that would be: the bundle is fetched in either case.
    ///
    /// # Errors
    /// The link is this trust domain's own, the bundle cannot be fetched or holds no root that the link names, a relationship says something else and shall stay,
    /// or it cannot be recorded or committed.
    pub async fn accept(&self, request: AcceptLink, cause: &Cause) -> Result<Accepted, FederationRefused> {
        let AcceptLink {
            link,
            replace,
            dry_run,
            all_entries,
            crl_url,
        } = request;
        let partner = link.trust_domain().clone();
        if partner == self.trust_domain {
            return Err(RelationshipRefused::Own { trust_domain: partner }.into());
        }
        let existing = self.show(&partner);
        // What no link says stays as it was.
        let all_entries = all_entries || existing.as_ref().is_some_and(|existing| existing.all_entries);
        let spec = RelationshipSpec {
            trust_domain: partner.clone(),
            url: link.url().clone(),
            profile: link.profile().clone(),
            redirects: existing.as_ref().is_none_or(|existing| existing.redirects),
            all_entries,
            crl_url: crl_url.or_else(|| existing.as_ref().and_then(|existing| existing.crl_url.clone())),
            bootstrap: None,
        };
        let parsed = self.fetch_by_link(&link, spec.redirects).await.map_err(|source| FederationRefused::Fetch {
            trust_domain: partner.clone(),
            source,
        })?;
        let shown = AcceptedBundle::of(&parsed.bundle, link.roots());
        let mut warnings = foreign_roots(&parsed.bundle);
        warnings.extend(passed_over(&parsed.skipped));
        let replaced_roots = self.editor.roots_replaced(&partner, link.roots());
        let mut accepted = AcceptedFetch {
            spec,
            fetched: parsed,
            pins: link.roots().to_vec(),
            replace,
        };
        if dry_run {
            // What would take `replace` is shown without it too: beside what there is.
            accepted.replace |= !self.editor.differences_of(&accepted).is_empty();
            let result = self.editor.judge_accepted(&accepted)?;
            let relationship = self.would_be(&accepted, cause)?;
            return Ok(Accepted {
                existing,
                replaced_roots,
                relationship,
                bundle: shown,
                result,
                dry_run,
                warnings,
                nodes: Vec::new(),
                revision: self.registry.revision(),
            });
        }
        let saved = self.editor.accept(accepted, cause).await?;
        let saved = self.saved(&partner, saved)?;
        Ok(Accepted {
            existing,
            replaced_roots,
            relationship: saved.relationship,
            bundle: shown,
            result: saved.result,
            dry_run,
            warnings,
            nodes: saved.nodes,
            revision: saved.revision,
        })
    }

    async fn fetch_by_link(&self, link: &FederationLink, redirects: bool) -> Result<ParsedBundle, FetchFailed> {
        let target = FetchTarget {
            url: link.url().clone(),
            trust: self.trust_of_link(link)?,
            redirects: self.redirects && redirects,
            etag: None,
            limit: MAX_BUNDLE_BYTES,
        };
        // A semaphore of this room is never closed.
        let _slot = self.slots.acquire().await;
        match self.fetcher.fetch(&target).await?.content {
            Content::Document(document) => Ok(read(link.trust_domain(), document).await?),
            Content::NotModified => Err(FetchFailed::NoDocument),
        }
    }

    fn trust_of_link(&self, link: &FederationLink) -> Result<EndpointTrust, FetchFailed> {
        let EndpointProfile::HttpsSpiffe { endpoint_id } = link.profile() else {
            return Ok(EndpointTrust::Web);
        };
        let id = endpoint_id.clone();
        if link.profile().is_self_serving(link.trust_domain()) {
            return Ok(EndpointTrust::Pinned {
                id,
                roots: link.roots().to_vec(),
            });
        }
        // FED-21: the endpoint's own trust domain is believed by itself, or not at all.
        let trust_domain = id.trust_domain();
        match self.bundle_of(&trust_domain) {
            Some(bundle) => Ok(EndpointTrust::Spiffe {
                id,
                bundle,
                lists: self.lists_of(&trust_domain),
            }),
            None => Err(FetchFailed::SourceMissing { endpoint_id: id, trust_domain }),
        }
    }

    fn would_be(&self, accepted: &AcceptedFetch, cause: &Cause) -> Result<RelationshipView, RelationshipRefused> {
        let partner = &accepted.spec.trust_domain;
        let (held, entries, everyones) = self.registry.view(|state| {
            let held = state.relationships.find(partner).cloned();
            (held, state.partners.entries_of(partner), state.entries.len())
        });
        let relationship = match held {
            Some(held) => held.relationship.with_spec(accepted.spec.clone()),
            None => Relationship::new(accepted.spec.clone(), self.clock.now().wall, cause.actor.clone()),
        }?;
        let facts = RelationshipFacts {
            crls: None,
            fetching: FetchStatus {
                sequence: accepted.fetched.bundle.sequence(),
                ..FetchStatus::never(None)
            },
            entries: if accepted.spec.all_entries { everyones } else { entries },
            has_bundle: true,
            holds_ours: None,
        };
        Ok(RelationshipView::of(&relationship, facts))
    }
}
