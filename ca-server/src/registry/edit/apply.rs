//! Making a list of entries true.

use std::sync::Arc;

use trust_domains::Revision;
use trust_domains::wire::admin::{ApplyAction, ApplyEntries, ApplyStep};

use super::drafts::{Checked, beside_the_loop};
use super::plan::{self, Others, Step};
use super::{EditError, Editor};
use crate::decisions::Cause;

/// What was done, or would be.
#[derive(Debug)]
pub struct Applied {
    /// The steps.
    pub steps: Vec<ApplyStep>,
    /// Entries that were right already.
    pub unchanged: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The newest commit.
    pub revision: Revision,
}

impl Editor {
    /// Makes a list of entries true, or only says what would be done.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn apply(&self, request: ApplyEntries, cause: &Cause) -> Result<Applied, EditError> {
        let Checked { mut specs, warnings } = self.check(&request.entries)?;
        let firsts = self.firsts(&specs, &request.entries)?;
        let mut first = firsts.iter().enumerate().map(|(place, first)| place == *first);
        specs.retain(|_| first.next().unwrap_or(true));
        let _locked = self.locks.lock_all().await;
        specs.iter().try_for_each(|spec| self.refuse_shared(spec))?;
        let others = if request.prune { Others::Delete } else { Others::Keep };
        let (steps, unchanged) = beside_the_loop(specs.len(), || {
            self.registry.view(|state| plan::plan(state, &specs, others, |spec| self.new_entry(spec)))
        })?;
        let shown = steps.iter().map(|step| show(step, request.dry_run)).collect();
        let revision = match request.dry_run {
            true => self.registry.revision(),
            false => self.perform(steps, cause).await?.revision(&self.registry),
        };
        Ok(Applied {
            steps: shown,
            unchanged,
            warnings,
            revision,
        })
    }
}

fn show(step: &Step, dry_run: bool) -> ApplyStep {
    let entry = Arc::clone(step.subject());
    let (action, reason) = match step {
        Step::Create { .. } => (ApplyAction::Create, "there is no such entry".to_owned()),
        Step::Delete { .. } => (ApplyAction::Delete, "it is not in the list".to_owned()),
        Step::Update { differences, .. } => (ApplyAction::Update, format!("{} differ", differences.join(", "))),
    };
    let unborn = dry_run && action == ApplyAction::Create;
    ApplyStep {
        action,
        id: (!unborn).then(|| entry.id().clone()),
        spiffe_id: entry.spiffe_id().clone(),
        parent_id: entry.parent_id().clone(),
        reason,
    }
}
