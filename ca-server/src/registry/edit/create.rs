//! Creating entries: an equal one is not created twice.

use std::collections::HashMap;

use trust_domains::Revision;
use trust_domains::entry::EntrySpec;
use trust_domains::wire::admin::{EntryDraft, EntryResult, EntryView};

use super::drafts::{Checked, beside_the_loop, refuse};
use super::plan::{self, Fate, Step};
use super::{EditError, Editor};
use crate::decisions::Cause;

/// What came of a list, in its order.
#[derive(Debug)]
pub struct Created {
    /// The entries.
    pub entries: Vec<EntryView>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The newest commit.
    pub revision: Revision,
}

impl Editor {
    /// Creates entries. All are checked first, and then committed in batches; an equal one that exists is returned as unchanged.
    ///
    /// # Errors
    /// An entry is refused, or exists with other fields: nothing is written then. Or a commit fails: the batches before it stay.
    pub async fn create(&self, drafts: Vec<EntryDraft>, cause: &Cause) -> Result<Created, EditError> {
        let Checked { specs, warnings } = self.check(&drafts)?;
        let _locked = match specs.as_slice() {
            [only] => self.locks.lock([only.spiffe_id()]).await,
            _ => self.locks.lock_all().await,
        };
        let Sorted { steps, outcomes, firsts } = beside_the_loop(drafts.len(), || self.sort(specs, &drafts))?;
        let done = self.perform(steps, cause).await?;
        let revision = done.revision(&self.registry);
        let created = done.views(&self.registry, EntryResult::Created);
        let entries = firsts.iter().enumerate().filter_map(|(place, first)| match outcomes.get(first)? {
            Outcome::There(view) => Some(EntryView::clone(view)),
            Outcome::Made(step) => {
                let result = if place == *first { EntryResult::Created } else { EntryResult::Unchanged };
                created.get(*step).map(|view| EntryView {
                    result: Some(result),
                    ..view.clone()
                })
            }
        });
        Ok(Created {
            entries: entries.collect(),
            warnings,
            revision,
        })
    }

    /// Says what each entry of a list comes to, and which have to be made.
    fn sort(&self, specs: Vec<EntrySpec>, drafts: &[EntryDraft]) -> Result<Sorted, EditError> {
        let firsts = self.firsts(&specs, drafts)?;
        let mut steps = Vec::new();
        let mut outcomes = HashMap::with_capacity(specs.len());
        for (place, spec) in specs.into_iter().enumerate().filter(|(place, _)| firsts.get(*place) == Some(place)) {
            self.refuse_shared(&spec).map_err(|reason| blame(reason, place, drafts))?;
            let fate = self.registry.view(|state| plan::fate(state, &spec));
            outcomes.insert(place, self.settle(spec, fate, &mut steps).map_err(|reason| blame(reason, place, drafts))?);
        }
        Ok(Sorted { steps, outcomes, firsts })
    }

    /// Two equal entries in one list are one.
    pub(super) fn firsts(&self, specs: &[EntrySpec], drafts: &[EntryDraft]) -> Result<Vec<usize>, EditError> {
        plan::firsts(specs).map_err(|twice| {
            let reason = EditError::TwiceInList {
                earlier: twice.earlier + 1,
                differences: twice.differences,
            };
            EditError::Drafts {
                first: refuse(reason, twice.later + 1, drafts),
                more: 0,
            }
        })
    }

    fn settle(&self, spec: EntrySpec, fate: Fate, steps: &mut Vec<Step>) -> Result<Outcome, EditError> {
        match fate {
            Fate::Equal(held) => {
                let view = held.entry.view(self.registry.at(held.modified));
                Ok(Outcome::There(Box::new(EntryView {
                    result: Some(EntryResult::Unchanged),
                    ..view
                })))
            }
            Fate::Missing => {
                steps.push(Step::Create { entry: self.new_entry(spec)? });
                Ok(Outcome::Made(steps.len() - 1))
            }
            Fate::Other(held, differences) => Err(EditError::Exists {
                id: held.entry.id().clone(),
                spiffe_id: spec.spiffe_id().clone(),
                differences,
            }),
        }
    }
}

/// A list, sorted into what is there and what has to be made.
struct Sorted {
    steps: Vec<Step>,
    /// By the place of the first of equal entries.
    outcomes: HashMap<usize, Outcome>,
    /// For each place that of the first equal entry.
    firsts: Vec<usize>,
}

/// What one entry of a list came to.
enum Outcome {
    /// It was there.
    There(Box<EntryView>),
    /// This step makes it.
    Made(usize),
}

fn blame(reason: EditError, place: usize, drafts: &[EntryDraft]) -> EditError {
    if drafts.len() == 1 {
        reason
    } else {
        EditError::Drafts {
            first: refuse(reason, place + 1, drafts),
            more: 0,
        }
    }
}
