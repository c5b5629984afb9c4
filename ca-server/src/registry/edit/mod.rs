//! Changing entries and nodes: checked whole, recorded, committed, and shown by the registry before the caller is answered.

mod apply;
mod bundle_refused;
mod bundles;
mod create;
mod drafts;
mod error;
mod fetched;
mod find;
mod locks;
mod nodes;
mod partner_crls;
mod perform;
pub mod plan;
mod relationship_refused;
mod relationships;

pub use apply::Applied;
pub use bundle_refused::BundleRefused;
pub use bundles::foreign_roots;
pub use create::Created;
pub use error::{DraftRefused, EditError};
pub use fetched::{AcceptRefused, AcceptedFetch, Taken, passed_over};
pub use partner_crls::TakeCrlsRefused;
pub use relationship_refused::{RelationshipRefused, TakeRefused};
pub use relationships::SavedRelationship;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use trust_domains::class::CredentialClass;
use trust_domains::clock::SharedClock;
use trust_domains::entry::DnsName;
use trust_domains::jwt_svid::ClaimNames;
use trust_domains::wire::admin::{EntryChange, EntryDeleted, EntryResult, EntryView};
use trust_domains::x509::PermittedNames;
use trust_domains::{RegistrationEntry, TrustDomain};

use self::locks::IdentityLocks;
use self::plan::Step;
use super::Registry;
use crate::attestation::JoinTokens;
use crate::decisions::{Cause, DecisionLog};
use crate::revocation::Revocations;
use crate::store::SharedStore;

/// What the server's configuration allows entries.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The longest class.
    pub max_class: CredentialClass,
    /// The names of claims.
    pub claims: ClaimNames,
    /// The DNS names that certificates may have, with those below them; any where there is none here.
    pub dns: Vec<DnsName>,
    /// What issuing CAs are constrained to.
    pub permitted: PermittedNames,
}

/// What an editor works with.
pub struct Desk {
    /// Where entries and nodes are.
    pub store: SharedStore,
    /// What shows of them.
    pub registry: Arc<Registry>,
    /// The join tokens.
    pub tokens: Arc<JoinTokens>,
    /// Takes decisions.
    pub decisions: DecisionLog,
    /// Takes certificates back.
    pub revocations: Revocations,
    /// The clock.
    pub clock: SharedClock,
}

/// Changes entries and nodes on behalf of an operator, or of a node that leaves.
pub struct Editor {
    trust_domain: TrustDomain,
    allowed: Allowed,
    store: SharedStore,
    registry: Arc<Registry>,
    tokens: Arc<JoinTokens>,
    decisions: DecisionLog,
    revocations: Revocations,
    clock: SharedClock,
    locks: IdentityLocks,
    /// Bundles of partners are changed one at a time: few are, and their sizes add up.
    bundles: tokio::sync::Mutex<()>,
    /// How many entries this process has made: the order of entries of one second.
    made: AtomicU32,
}

impl Editor {
    /// Returns the editor of a trust domain's entries and nodes.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, allowed: Allowed, desk: Desk) -> Self {
        Self {
            trust_domain,
            allowed,
            store: desk.store,
            registry: desk.registry,
            tokens: desk.tokens,
            decisions: desk.decisions,
            revocations: desk.revocations,
            clock: desk.clock,
            locks: IdentityLocks::default(),
            bundles: tokio::sync::Mutex::default(),
            made: AtomicU32::new(0),
        }
    }

    /// Changes an entry. One that is so already stays as it is.
    ///
    /// # Errors
    /// There is no such entry, the change is refused, an entry of the same identity exists, or it cannot be committed.
    pub async fn update(&self, id: &str, change: &EntryChange, cause: &Cause) -> Result<EntryView, EditError> {
        let before = self.find(id)?;
        let parent = change.parent_id.as_deref().map(|text| self.parent_named(text)).transpose()?;
        let spec = before.entry.change(change, &self.trust_domain, parent.map(|parent| parent.spiffe_id))?;
        self.refuse_what_is_not_allowed(&spec)?;
        let _locked = self.locks.lock([before.entry.spiffe_id(), spec.spiffe_id()]).await;
        let held = self.find(before.entry.id().as_str())?;
        let differences = held.entry.differences(&spec);
        if differences.is_empty() {
            let view = held.entry.view(self.registry.at(held.modified));
            return Ok(EntryView {
                result: Some(EntryResult::Unchanged),
                ..view
            });
        }
        if spec.spiffe_id() != held.entry.spiffe_id() || spec.is_node_alias() != held.entry.is_node_alias() {
            self.refuse_shared(&spec)?;
        }
        if let Some(twin) = self.twin_of(&spec).filter(|twin| twin.entry.id() != held.entry.id()) {
            return Err(EditError::Exists {
                id: twin.entry.id().clone(),
                spiffe_id: spec.spiffe_id().clone(),
                differences: twin.entry.differences(&spec),
            });
        }
        if held.modified != before.modified {
            return Err(EditError::ChangedMeanwhile { id: held.entry.id().clone() });
        }
        let entry = Arc::new(held.entry.with_spec(spec));
        let done = self.perform(vec![Step::Update { held, entry, differences }], cause).await?;
        done.views(&self.registry, EntryResult::Updated)
            .pop()
            .ok_or_else(|| EditError::NotFound { text: id.to_owned() })
    }

    /// Deletes an entry.
    ///
    /// # Errors
    /// There is no such entry, or it cannot be committed.
    pub async fn delete(&self, id: &str, cause: &Cause) -> Result<EntryDeleted, EditError> {
        let held = self.find(id)?;
        let _locked = self.locks.lock([held.entry.spiffe_id()]).await;
        let held = self.find(held.entry.id().as_str())?;
        let gone = Arc::clone(&held.entry);
        let done = self.perform(vec![Step::Delete { held }], cause).await?;
        Ok(EntryDeleted {
            id: gone.id().clone(),
            spiffe_id: gone.spiffe_id().clone(),
            parent_id: gone.parent_id().clone(),
            revision: done.revision(&self.registry),
        })
    }

    fn new_entry(&self, spec: trust_domains::entry::EntrySpec) -> Result<Arc<RegistrationEntry>, EditError> {
        let id = trust_domains::EntryId::in_sequence(self.made.fetch_add(1, Ordering::Relaxed), platform::random::array()?);
        Ok(Arc::new(RegistrationEntry::new(id, spec, self.clock.now().wall)))
    }
}
