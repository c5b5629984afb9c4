//! Relationships as operators see them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use trust_domains::TrustDomain;
use trust_domains::bundle::PartnerBundle;
use trust_domains::clock::Reading;
use trust_domains::federation::FetchStatus;
use trust_domains::wire::federation::{FederationChanges, RelationshipFacts, RelationshipView};

use super::Federation;
use super::beside;
use super::room::Partners;
use crate::registry::{HeldRelationship, State};

/// How long a call waits for a change: less than clients wait for an answer.
const WAIT_FOR_CHANGE: Duration = Duration::from_secs(20);

impl Federation {
    /// Returns the relationships after a trust domain (all without one), at most so many, and whether there are more.
    #[must_use]
    pub fn list(&self, after: Option<&TrustDomain>, limit: usize) -> (Vec<RelationshipView>, bool) {
        let now = self.clock.now();
        let partners = self.lock();
        self.registry.view(|state| {
            let mut listed = state.relationships.listed(after);
            let views = listed.by_ref().take(limit).map(|held| self.view(state, &partners, held, now)).collect();
            (views, listed.next().is_some())
        })
    }

    /// Returns one relationship.
    #[must_use]
    pub fn show(&self, partner: &TrustDomain) -> Option<RelationshipView> {
        let now = self.clock.now();
        let partners = self.lock();
        self.registry
            .view(|state| Some(self.view(state, &partners, state.relationships.find(partner)?, now)))
    }

    /// Waits for a change after a number, at most a while, and returns what changed; all for a number that is not known.
    pub async fn changes(&self, since: u64) -> FederationChanges {
        let mut newest = self.newest.subscribe();
        let knows = self.lock().changes.knows(since);
        if knows {
            // The sender lives as long as the room.
            let _ = timeout(WAIT_FOR_CHANGE, newest.wait_for(|newest| *newest > since)).await;
        }
        let now = self.clock.now();
        let partners = self.lock();
        let knows = partners.changes.knows(since);
        let is_told = |held: &&HeldRelationship| !knows || partners.known.get(held.relationship.trust_domain()).is_none_or(|known| known.changed > since);
        FederationChanges {
            since: partners.changes.newest(),
            items: self.registry.view(|state| {
                let told = state.relationships.listed(None).filter(is_told);
                told.map(|held| self.view(state, &partners, held, now)).collect()
            }),
            whole: !knows,
            deleted: match knows {
                true => partners.changes.deleted_after(since).cloned().collect(),
                false => Vec::new(),
            },
        }
    }

    /// Returns the bundles of all partners with a relationship.
    pub(super) fn held_bundles(&self) -> HashMap<TrustDomain, Arc<PartnerBundle>> {
        self.registry.view(|state| {
            let held = state
                .partners
                .listed(None)
                .map(|held| (held.partner.trust_domain().clone(), Arc::clone(&held.partner)));
            held.collect()
        })
    }

    fn view(&self, state: &State, partners: &Partners, held: &HeldRelationship, now: Reading) -> RelationshipView {
        let name = held.relationship.trust_domain();
        let bundle = state.partners.find(name).map(|held| &*held.partner);
        let known = partners.known.get(name);
        let facts = RelationshipFacts {
            // The loop has not seen it yet: it is due at once.
            fetching: known.map_or_else(|| FetchStatus::never(Some(now.wall)), |known| known.status(now, bundle)),
            crls: beside::crls_view(state, held, known, now.wall),
            entries: state.entries_federating(name),
            has_bundle: bundle.is_some(),
            holds_ours: self.seen.holds(name, &self.own.borrow()),
        };
        RelationshipView::of(&held.relationship, facts)
    }
}
