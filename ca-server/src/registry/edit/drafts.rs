//! From what an operator wrote to what may be: every entry of a list is checked before any is written.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::runtime::RuntimeFlavor;
use trust_domains::SpiffeId;
use trust_domains::entry::EntrySpec;
use trust_domains::wire::admin::EntryDraft;

use super::find::Parent;
use super::{DraftRefused, EditError, Editor};
use crate::limits::BULK_ENTRIES;

/// How many warnings an answer holds; the others are counted.
const WARNINGS: usize = 20;

/// A list that was checked: what each entry of it shall be, and what the operator should know.
pub(super) struct Checked {
    pub(super) specs: Vec<EntrySpec>,
    pub(super) warnings: Vec<String>,
}

impl Editor {
    /// Checks every draft, and says how many are refused, and why the first.
    pub(super) fn check(&self, drafts: &[EntryDraft]) -> Result<Checked, EditError> {
        if drafts.len() > BULK_ENTRIES {
            return Err(EditError::TooMany {
                limit: BULK_ENTRIES,
                actual: drafts.len(),
            });
        }
        beside_the_loop(drafts.len(), || self.check_each(drafts))
    }

    fn check_each(&self, drafts: &[EntryDraft]) -> Result<Checked, EditError> {
        let mut parents = Parents {
            editor: self,
            named: HashMap::new(),
            aliases: self.aliases_among(drafts),
        };
        let mut specs = Vec::with_capacity(drafts.len());
        let mut warnings = BTreeSet::new();
        let mut refused: Option<(DraftRefused, usize)> = None;
        for (position, draft) in (1..).zip(drafts) {
            match self.check_one(draft, &mut parents, &mut warnings) {
                Ok(spec) => specs.push(spec),
                Err(reason) => match &mut refused {
                    Some((_, more)) => *more += 1,
                    None => refused = Some((refuse(reason, position, drafts), 0)),
                },
            }
        }
        match refused {
            None => Ok(Checked {
                specs,
                warnings: bounded(warnings),
            }),
            Some((only, _)) if drafts.len() == 1 => Err(*only.reason),
            Some((first, more)) => Err(EditError::Drafts { first, more }),
        }
    }

    /// The aliases of the list itself: their entries may stand beside them.
    fn aliases_among(&self, drafts: &[EntryDraft]) -> HashSet<SpiffeId> {
        let of_server = |draft: &&EntryDraft| {
            let parent = draft.parent_id.as_deref().map(|text| SpiffeId::expand(&self.trust_domain, text));
            parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.is_server()))
        };
        let named = drafts.iter().filter(of_server);
        named.filter_map(|draft| SpiffeId::expand(&self.trust_domain, &draft.spiffe_id).ok()).collect()
    }

    fn check_one(&self, draft: &EntryDraft, parents: &mut Parents<'_>, warnings: &mut BTreeSet<String>) -> Result<EntrySpec, EditError> {
        let parent = parents.of(draft)?;
        let note = parent.note.clone();
        let spec = EntrySpec::check(draft, &self.trust_domain, parent.spiffe_id.clone())?;
        self.refuse_what_is_not_allowed(&spec)?;
        if !spec.is_node_alias() && parents.aliases.contains(spec.spiffe_id()) {
            return Err(EditError::AliasInList {
                spiffe_id: spec.spiffe_id().clone(),
            });
        }
        warnings.extend(note);
        warnings.extend(spec.warnings());
        warnings.extend(self.partners_awaited(spec.federates_with()));
        Ok(spec)
    }
}

/// A list of this many entries is checked in about a millisecond.
const SHORT: usize = 200;

/// Computes over a list; over a long one so that other tasks of this thread move elsewhere meanwhile.
pub(super) fn beside_the_loop<R>(entries: usize, compute: impl FnOnce() -> R) -> R {
    let threads = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match threads {
        Ok(RuntimeFlavor::MultiThread) if entries > SHORT => tokio::task::block_in_place(compute),
        _ => compute(),
    }
}

pub(super) fn refuse(reason: EditError, position: usize, drafts: &[EntryDraft]) -> DraftRefused {
    let written = drafts
        .get(position.saturating_sub(1))
        .map(|draft| draft.spiffe_id.chars().take(200).collect())
        .unwrap_or_default();
    DraftRefused {
        position,
        total: drafts.len(),
        written,
        reason: Box::new(reason),
    }
}

/// The parents of a list, each looked up once.
struct Parents<'a> {
    editor: &'a Editor,
    named: HashMap<Option<String>, Parent>,
    aliases: HashSet<SpiffeId>,
}

impl Parents<'_> {
    fn of(&mut self, draft: &EntryDraft) -> Result<&Parent, EditError> {
        match self.named.entry(draft.parent_id.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(match &draft.parent_id {
                Some(text) => match SpiffeId::expand(&self.editor.trust_domain, text) {
                    Ok(spiffe_id) if self.aliases.contains(&spiffe_id) => Parent { spiffe_id, note: None },
                    _ => self.editor.parent_named(text)?,
                },
                None => self.editor.parent_by_default()?,
            })),
        }
    }
}

fn bounded(warnings: BTreeSet<String>) -> Vec<String> {
    let over = warnings.len().saturating_sub(WARNINGS);
    let mut shown: Vec<_> = warnings.into_iter().take(WARNINGS).collect();
    if over > 0 {
        shown.push(format!("and {over} more warnings"));
    }
    shown
}
