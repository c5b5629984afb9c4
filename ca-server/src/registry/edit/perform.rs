//! Performing changes: recorded, committed in batches that overlap, and shown by the registry.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use trust_domains::wire::admin::{EntryResult, EntryView};
use trust_domains::{RegistrationEntry, Revision};

use super::plan::Step;
use super::{EditError, Editor};
use crate::decisions::Cause;
use crate::limits::{COMMITS_IN_FLIGHT, ENTRIES_PER_COMMIT};
use crate::registry::{Registry, records};
use crate::store::{Commit, CommitError, Key};

/// Changes that are committed and shown: each entry that is there afterwards, with its commit.
#[derive(Debug)]
pub(super) struct Performed {
    entries: Vec<(Arc<RegistrationEntry>, u64)>,
    newest: u64,
}

impl Performed {
    pub(super) const fn revision(&self, registry: &Registry) -> Revision {
        registry.at(self.newest)
    }

    /// Returns the entries as an answer shows them, in the order of the steps that were not deletions.
    pub(super) fn views(self, registry: &Registry, result: EntryResult) -> Vec<EntryView> {
        let view = |(entry, counter): (Arc<RegistrationEntry>, u64)| EntryView {
            result: Some(result),
            ..entry.view(registry.at(counter))
        };
        self.entries.into_iter().map(view).collect()
    }
}

impl Editor {
    /// Performs steps; each batch of them is one commit, and some are on their way at once. After a failure no new batch begins.
    pub(super) async fn perform(&self, steps: Vec<Step>, cause: &Cause) -> Result<Performed, EditError> {
        let mut waiting = steps.chunks(ENTRIES_PER_COMMIT);
        let mut under_way: FuturesOrdered<_> = waiting.by_ref().take(COMMITS_IN_FLIGHT).map(|batch| self.commit(batch, cause)).collect();
        let mut entries = Vec::with_capacity(steps.len());
        let (mut written, mut newest, mut stopped) = (0, self.registry.revision().counter, None);
        while let Some((batch, outcome)) = under_way.next().await {
            match outcome {
                Ok(revision) => {
                    written += batch.len();
                    newest = newest.max(revision.counter);
                    entries.extend(batch.iter().filter_map(Step::entry_afterwards).map(|entry| (entry, revision.counter)));
                }
                Err(error) => stopped = stopped.or(Some(error)),
            }
            if stopped.is_none() {
                under_way.extend(waiting.next().map(|batch| self.commit(batch, cause)));
            }
        }
        match stopped {
            None => Ok(Performed { entries, newest }),
            Some(source) if written == 0 => Err(source),
            Some(source) => Err(EditError::Partly {
                written,
                total: steps.len(),
                source: Box::new(source),
            }),
        }
    }

    /// Commits a batch, and returns it with its revision once the registry shows it.
    fn commit<'a>(&'a self, batch: &'a [Step], cause: &'a Cause) -> BoxFuture<'a, (&'a [Step], Result<Revision, EditError>)> {
        Box::pin(async move { (batch, self.commit_one(batch, cause).await) })
    }

    async fn commit_one(&self, batch: &[Step], cause: &Cause) -> Result<Revision, EditError> {
        self.decisions
            .record(batch.iter().map(|step| cause.decision(step.action(), step.subject().id())).collect())
            .await?;
        let commit = batch.iter().try_fold(Commit::new("entries_changed"), Step::write)?;
        let revision = self.store.commit(commit).await.map_err(|error| EditError::of_commit(error, batch))?;
        self.registry.settled(revision).await;
        Ok(revision)
    }
}

impl EditError {
    fn of_commit(error: CommitError, batch: &[Step]) -> Self {
        match &error {
            CommitError::Conflict { key } => match batch.iter().find(|step| Key::entry(step.subject().id()) == *key) {
                Some(step) => Self::ChangedMeanwhile {
                    id: step.subject().id().clone(),
                },
                None => Self::Commit(error),
            },
            _ => Self::Commit(error),
        }
    }
}

impl Step {
    /// Returns the word of the decision.
    const fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "entry_created",
            Self::Delete { .. } => "entry_deleted",
            Self::Update { .. } => "entry_updated",
        }
    }

    /// Returns the entry that is changed, as it shall be, or as it was.
    #[must_use]
    pub fn subject(&self) -> &Arc<RegistrationEntry> {
        match self {
            Self::Create { entry } | Self::Update { entry, .. } => entry,
            Self::Delete { held } => &held.entry,
        }
    }

    fn entry_afterwards(&self) -> Option<Arc<RegistrationEntry>> {
        match self {
            Self::Create { entry } | Self::Update { entry, .. } => Some(Arc::clone(entry)),
            Self::Delete { .. } => None,
        }
    }

    /// Adds the step to a commit, under the condition that the entry is as it was when it was planned.
    fn write(commit: Commit, step: &Self) -> Result<Commit, EditError> {
        let key = Key::entry(step.subject().id());
        Ok(match step {
            Self::Create { entry } => commit.absent(key.clone()).put(key.clone(), records::encode(&key, &**entry)?),
            Self::Delete { held } => commit.unmodified(key.clone(), held.modified).delete(key),
            Self::Update { held, entry, .. } => commit.unmodified(key.clone(), held.modified).put(key.clone(), records::encode(&key, &**entry)?),
        })
    }
}
