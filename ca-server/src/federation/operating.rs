//! What operators ask for: relationships set up, changed and ended, and a fetch now.

use trust_domains::TrustDomain;
use trust_domains::wire::bundles::FederatedEntries;
use trust_domains::wire::federation::{CreateRelationship, RelationshipDeleted, RelationshipSaved, RelationshipView, UpdateRelationship};

use super::Federation;
use super::attempt::Occasion;
use super::error::FederationRefused;
use super::poller::Start;
use crate::decisions::Cause;
use crate::registry::edit::{RelationshipRefused, SavedRelationship};

impl Federation {
    /// Sets up a relationship; its bundle is fetched at once. An equal one is not set up twice.
    ///
    /// # Errors
    /// It is refused, or cannot be recorded or committed.
    pub async fn create(&self, request: CreateRelationship, cause: &Cause) -> Result<RelationshipSaved, FederationRefused> {
        let partner = request.trust_domain.clone();
        let saved = self.editor.create_relationship(request, cause).await?;
        self.saved(&partner, saved)
    }

    /// Changes a relationship; its bundle is fetched at once.
    ///
    /// # Errors
    /// There is none, the change is refused, or cannot be recorded or committed.
    pub async fn update(&self, partner: &TrustDomain, request: UpdateRelationship, cause: &Cause) -> Result<RelationshipSaved, FederationRefused> {
        let saved = self.editor.update_relationship(partner, request, cause).await?;
        self.saved(partner, saved)
    }

    /// Ends a relationship: nothing is fetched any more, and its bundle is withdrawn from every workload at once.
    ///
    /// # Errors
    /// There is none, entries federate with it and shall not, or it cannot be recorded or committed.
    pub async fn delete(&self, partner: &TrustDomain, entries: FederatedEntries, cause: &Cause) -> Result<RelationshipDeleted, FederationRefused> {
        let deleted = self.editor.delete_relationship(partner, entries, cause).await?;
        self.follow(Start::OfRelationship);
        Ok(deleted)
    }

    /// Fetches from a partner now, and returns how it stands when the fetch has ended, well or not.
    ///
    /// # Errors
    /// There is no such relationship.
    pub async fn refresh(&self, partner: &TrustDomain, cause: &Cause) -> Result<RelationshipView, FederationRefused> {
        self.follow(Start::OfRelationship);
        self.found(partner)?;
        // A semaphore of this room is never closed.
        let _slot = self.slots.acquire().await;
        self.fetch_once(partner, &Occasion::Asked(cause.clone())).await;
        self.found(partner)
    }

    pub(super) fn saved(&self, partner: &TrustDomain, saved: SavedRelationship) -> Result<RelationshipSaved, FederationRefused> {
        self.follow(Start::OfRelationship);
        let relationship = self.found(partner)?;
        let SavedRelationship {
            result,
            warnings,
            nodes,
            revision,
        } = saved;
        Ok(RelationshipSaved {
            relationship,
            result,
            warnings,
            nodes,
            revision,
        })
    }

    pub(super) fn found(&self, partner: &TrustDomain) -> Result<RelationshipView, FederationRefused> {
        let not_found = || RelationshipRefused::NotFound { trust_domain: partner.clone() };
        self.show(partner).ok_or_else(|| not_found().into())
    }
}
