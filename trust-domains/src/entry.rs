//! Registration entries: which identity a process gets, on which node, by which facts, and how it is issued.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::class::CredentialClass;
use crate::jwt_svid::ExtraClaims;
use crate::revision::Revision;
use crate::selector::SelectorSet;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::wire::admin::{EntryChange, EntryView};
use crate::wire::node::NodeEntry;

mod hint;
mod id;
mod names;
mod partners;
mod refused;
mod selectors;
mod spec;
mod stored;

pub use hint::{Hint, ParseHintError};
pub use id::{EntryId, ParseEntryIdError};
pub use names::{CertificateNames, DnsName, NamesRefused, ParseDnsNameError, ParseSubjectCnError, SubjectCn};
pub use partners::Partners;
pub use refused::EntryRefused;
pub use selectors::check_selector;
pub use spec::EntrySpec;

/// A registration entry: always one whose spec was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "stored::StoredEntry", into = "stored::StoredEntry")]
pub struct RegistrationEntry {
    id: EntryId,
    spec: EntrySpec,
    created_at: Timestamp,
}

impl RegistrationEntry {
    /// Returns a new entry.
    #[must_use]
    pub fn new(id: EntryId, spec: EntrySpec, created_at: Timestamp) -> Self {
        Self { id, spec, created_at }
    }

    /// Returns the entry with its parent's ID in shared memory, if it is this ID: a server holds many entries of one node.
    #[must_use]
    pub fn sharing_parent(mut self, parent: &SpiffeId) -> Self {
        if self.spec.parent_id == *parent {
            self.spec.parent_id = parent.clone();
        }
        self
    }

    /// Returns the same entry with another spec: its id and its age stay.
    #[must_use]
    pub fn with_spec(&self, spec: EntrySpec) -> Self {
        Self {
            id: self.id.clone(),
            spec,
            created_at: self.created_at,
        }
    }

    /// Returns the spec that a change makes of this entry's. A life that was its class's default follows the class.
    ///
    /// `parent` is what the change's parent resolves to, when it names one.
    ///
    /// # Errors
    /// Names the first rule that the changed spec breaks.
    pub fn change(&self, change: &EntryChange, trust_domain: &TrustDomain, parent: Option<SpiffeId>) -> Result<EntrySpec, EntryRefused> {
        self.spec.change(change, trust_domain, parent)
    }

    /// Returns the entry's id.
    #[must_use]
    pub fn id(&self) -> &EntryId {
        &self.id
    }

    /// Returns everything but id and age.
    #[must_use]
    pub fn spec(&self) -> &EntrySpec {
        &self.spec
    }

    /// Returns when the entry was made.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns the identity that the entry gives.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.spec.spiffe_id()
    }

    /// Returns the node that the entry is on, or the alias of such nodes; for an alias the server.
    #[must_use]
    pub fn parent_id(&self) -> &SpiffeId {
        self.spec.parent_id()
    }

    /// Returns what a process must have, all of it; never empty.
    #[must_use]
    pub fn selectors(&self) -> &SelectorSet {
        self.spec.selectors()
    }

    /// Returns how long credentials may live.
    #[must_use]
    pub fn class(&self) -> CredentialClass {
        self.spec.class()
    }

    /// Returns the life of X509-SVIDs; at most that of the class.
    #[must_use]
    pub fn x509_ttl(&self) -> Duration {
        self.spec.x509_ttl()
    }

    /// Returns the life of JWT-SVIDs; at most that of the class.
    #[must_use]
    pub fn jwt_ttl(&self) -> Duration {
        self.spec.jwt_ttl()
    }

    /// Returns the label for workloads with several identities.
    #[must_use]
    pub fn hint(&self) -> Option<&Hint> {
        self.spec.hint()
    }

    /// Returns the claims of its JWT-SVIDs beside those of the standard.
    #[must_use]
    pub fn claims(&self) -> &ExtraClaims {
        self.spec.claims()
    }

    /// Returns the partner trust domains whose bundles its workload gets, in order.
    #[must_use]
    pub fn federates_with(&self) -> &Partners {
        self.spec.federates_with()
    }

    /// Returns the names in its certificates beside the SPIFFE ID.
    #[must_use]
    pub fn names(&self) -> &CertificateNames {
        self.spec.names()
    }

    /// Returns whether the entry is a node alias: nodes have its ID, and no workload does.
    #[must_use]
    pub fn is_node_alias(&self) -> bool {
        self.spec.is_node_alias()
    }

    /// Returns when the entry ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.spec.expires_at()
    }

    /// Returns whether the entry has ended.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|end| now >= end)
    }

    /// Returns whether the spec is of this very entry: same identity, node and selectors.
    #[must_use]
    pub fn same_identity(&self, spec: &EntrySpec) -> bool {
        self.spec.same_identity(spec)
    }

    /// Returns the names of the fields that differ; none means that the spec is already true.
    #[must_use]
    pub fn differences(&self, spec: &EntrySpec) -> Vec<&'static str> {
        self.spec.differences(spec)
    }

    /// Returns the entry as operators see it, as of the commit that last changed it.
    #[must_use]
    pub fn view(&self, revision: Revision) -> EntryView {
        EntryView {
            id: self.id.clone(),
            spiffe_id: self.spiffe_id().clone(),
            parent_id: self.parent_id().clone(),
            selectors: self.selectors().to_vec(),
            class: self.class(),
            x509_ttl_s: self.x509_ttl().as_secs(),
            jwt_ttl_s: self.jwt_ttl().as_secs(),
            dns_names: self.names().dns().iter().map(ToString::to_string).collect(),
            subject_cn: self.names().cn().map(ToString::to_string),
            claims: self.spec.claims().clone().into(),
            federates_with: self.federates_with().to_vec(),
            hint: self.hint().map(ToString::to_string),
            expires_at: self.expires_at(),
            created_at: self.created_at,
            revision,
            result: None,
        }
    }

    /// Returns what the entry's node needs to know of it, as of the commit that last changed it.
    #[must_use]
    pub fn node_entry(&self, revision: Revision) -> NodeEntry {
        NodeEntry {
            id: self.id.clone(),
            spiffe_id: self.spiffe_id().clone(),
            selectors: self.selectors().to_vec(),
            class: self.class(),
            x509_ttl_s: self.x509_ttl().as_secs(),
            hint: self.hint().map(ToString::to_string),
            federates_with: self.federates_with().to_vec(),
            dns_names: self.names().dns().iter().map(ToString::to_string).collect(),
            subject_cn: self.names().cn().map(ToString::to_string),
            created_at: self.created_at,
            expires_at: self.expires_at(),
            revision,
        }
    }
}

#[cfg(test)]
mod tests;
