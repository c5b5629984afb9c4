//! Making a whole file of entries true.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entry::EntryId;
use crate::revision::Revision;
use crate::spiffe_id::SpiffeId;

use super::EntryDraft;

/// Makes a set of entries true.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyEntries {
    /// The entries that shall be.
    pub entries: Vec<EntryDraft>,
    /// Whether entries that are not in the set are deleted.
    #[serde(default)]
    pub prune: bool,
    /// Whether only the plan is asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// What `apply` does to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyAction {
    /// Makes it.
    Create,
    /// Removes it.
    Delete,
    /// Changes it.
    Update,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApplyStep {
    /// What is done.
    pub action: ApplyAction,
    /// To which entry; absent for one that is still to be made.
    pub id: Option<EntryId>,
    /// Its identity.
    pub spiffe_id: SpiffeId,
    /// Its node.
    pub parent_id: SpiffeId,
    /// Why, in words: the fields that differ.
    pub reason: String,
}

/// What `apply` did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApplyOutcome {
    /// The steps.
    pub steps: Vec<ApplyStep>,
    /// Entries that were right already.
    pub unchanged: usize,
    /// Whether the steps were done.
    pub applied: bool,
    /// What the operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The newest commit.
    pub revision: Revision,
}
