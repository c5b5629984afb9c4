//! Entries, as an operator writes and reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::class::CredentialClass;
use crate::entry::EntryId;
use crate::revision::Revision;
use crate::selector::Selector;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// An entry as an operator writes it; short forms are allowed and the server expands them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryDraft {
    /// The identity to give: a SPIFFE ID, or its path (`/web`).
    pub spiffe_id: String,
    /// The node: a SPIFFE ID or a node's name; or the ID of a node alias; or that of the server (`/troth/server`), which makes the entry a node alias.
    /// Without it the only node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What a process must have, all of it.
    pub selectors: Vec<String>,
    /// How long its credentials may live; `medium` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<CredentialClass>,
    /// The life of its X509-SVIDs, in seconds; that of its class without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_ttl_s: Option<u64>,
    /// The life of its JWT-SVIDs, in seconds; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_ttl_s: Option<u64>,
    /// More claims of its JWT-SVIDs, by name; the server's configuration lists the names that are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Value>,
    /// A label for workloads with several identities, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Partner trust domains whose bundles its workload gets, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federates_with: Vec<TrustDomain>,
    /// DNS names in its certificates, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// The common name in the subject of its certificates, at most 64 characters; without it the subject is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_cn: Option<String>,
    /// When the entry ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,

    // What `entry list` prints and `--file` reads back without using it: an edited list can be applied.
    /// Read back and not used: the server names entries.
    #[serde(default, skip_serializing)]
    pub id: Option<String>,
    /// Read back and not used: revisions are the store's.
    #[serde(default, skip_serializing)]
    pub revision: Option<Revision>,
    /// Read back and not used.
    #[serde(default, skip_serializing)]
    pub created_at: Option<Timestamp>,
    /// Read back and not used: what an earlier `create` did.
    #[serde(default, skip_serializing)]
    pub result: Option<String>,
}

/// Asks for entries: all checked before any is written, then committed in batches.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEntries {
    /// The entries, at most 200,000.
    pub entries: Vec<EntryDraft>,
}

/// What came of [`CreateEntries`], in its order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntriesCreated {
    /// The entries.
    pub entries: Vec<EntryView>,
    /// What the operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The newest commit of the request.
    pub revision: Revision,
}

/// What `create` did with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// It is new.
    Created,
    /// An equal one was there.
    Unchanged,
    /// It was changed.
    Updated,
}

/// An entry as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    /// Names the entry.
    pub id: EntryId,
    /// The identity it gives.
    pub spiffe_id: SpiffeId,
    /// The node it is on.
    pub parent_id: SpiffeId,
    /// What a process must have, all of it.
    pub selectors: Vec<Selector>,
    /// How long its credentials may live.
    pub class: CredentialClass,
    /// The life of its X509-SVIDs, in seconds.
    pub x509_ttl_s: u64,
    /// The life of its JWT-SVIDs, in seconds.
    pub jwt_ttl_s: u64,
    /// DNS names in its certificates.
    pub dns_names: Vec<String>,
    /// The common name in the subject of its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_cn: Option<String>,
    /// Trust domains whose bundles it gets.
    pub federates_with: Vec<TrustDomain>,
    /// More claims of its JWT-SVIDs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Value>,
    /// A label.
    pub hint: Option<String>,
    /// When the entry ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The commit that last changed it.
    pub revision: Revision,
    /// What `create`, `update` or `apply` did; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EntryResult>,
}

/// Fields of an entry to change; absent ones stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryChange {
    /// Replaces the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Moves it to another node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Replaces all selectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectors: Option<Vec<String>>,
    /// Replaces the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<CredentialClass>,
    /// Replaces the life of X509-SVIDs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_ttl_s: Option<u64>,
    /// Replaces the life of JWT-SVIDs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_ttl_s: Option<u64>,
    /// Replaces all claims; an empty object removes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<BTreeMap<String, Value>>,
    /// Replaces the hint; an empty one removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Replaces the partner trust domains; an empty list takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federates_with: Option<Vec<TrustDomain>>,
    /// Replaces the DNS names; an empty list takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_names: Option<Vec<String>>,
    /// Replaces the common name; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_cn: Option<String>,
    /// Replaces the end of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An entry is gone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntryDeleted {
    /// The entry.
    pub id: EntryId,
    /// The identity it gave.
    pub spiffe_id: SpiffeId,
    /// The node it was on.
    pub parent_id: SpiffeId,
    /// The commit.
    pub revision: Revision,
}
