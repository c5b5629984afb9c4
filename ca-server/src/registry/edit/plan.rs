//! What has to be done so that a list of entries becomes true: a pure function.
//!
//! - An entry of the list with no twin (same SPIFFE ID, parent and selectors) is created.
//! - One whose twin has other fields: the twin is updated.
//! - One whose twin is equal: nothing.
//! - With [`Others::Delete`] every entry that is no twin of one in the list is deleted.
//! - New and changed entries come before deletions, so that a workload that moves from one entry to another is never without.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use trust_domains::entry::EntrySpec;
use trust_domains::{EntryId, RegistrationEntry, SelectorSet, SpiffeId};

use super::EditError;
use crate::registry::{HeldEntry, State};

/// One change of one entry.
#[derive(Debug, Clone)]
pub enum Step {
    /// Makes it.
    Create {
        /// The entry.
        entry: Arc<RegistrationEntry>,
    },
    /// Removes it.
    Delete {
        /// As it is.
        held: HeldEntry,
    },
    /// Changes it.
    Update {
        /// As it is.
        held: HeldEntry,
        /// As it shall be.
        entry: Arc<RegistrationEntry>,
        /// The fields that differ.
        differences: Vec<&'static str>,
    },
}

/// What to do with entries that are not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They go.
    Delete,
    /// They stay.
    Keep,
}

/// What one entry of a list comes to.
#[derive(Debug, Clone)]
pub enum Fate {
    /// An equal entry is there.
    Equal(HeldEntry),
    /// There is none of the same identity.
    Missing,
    /// One is there with other fields.
    Other(HeldEntry, Vec<&'static str>),
}

/// Two entries of a list have the same identity, parent and selectors and differ otherwise.
#[derive(Debug)]
pub struct TwiceInList {
    /// The place of the earlier one, from 0.
    pub earlier: usize,
    /// The place of the later one, from 0.
    pub later: usize,
    /// The fields that differ.
    pub differences: Vec<&'static str>,
}

/// Returns, for each entry of a list, the place of the first one that is equal to it: its own, where there is none before it.
///
/// # Errors
/// Two of the same identity differ.
pub fn firsts(specs: &[EntrySpec]) -> Result<Vec<usize>, TwiceInList> {
    let mut seen: HashMap<(&SpiffeId, &SpiffeId, &SelectorSet), (usize, &EntrySpec)> = HashMap::with_capacity(specs.len());
    let mut firsts = Vec::with_capacity(specs.len());
    for (later, spec) in specs.iter().enumerate() {
        let (earlier, first) = *seen.entry((spec.spiffe_id(), spec.parent_id(), spec.selectors())).or_insert((later, spec));
        let differences = first.differences(spec);
        if !differences.is_empty() {
            return Err(TwiceInList { earlier, later, differences });
        }
        firsts.push(earlier);
    }
    Ok(firsts)
}

/// Says what an entry of a list comes to.
#[must_use]
pub fn fate(state: &State, spec: &EntrySpec) -> Fate {
    match super::find::twin(state, spec) {
        None => Fate::Missing,
        Some(held) => match held.entry.differences(spec) {
            differences if differences.is_empty() => Fate::Equal(held.clone()),
            differences => Fate::Other(held.clone(), differences),
        },
    }
}

/// Plans what makes a list true, and counts the entries that are so already. `new_entry` names and dates an entry that is to be made.
///
/// # Errors
/// A new entry cannot be named.
pub fn plan(
    state: &State,
    specs: &[EntrySpec],
    others: Others,
    mut new_entry: impl FnMut(EntrySpec) -> Result<Arc<RegistrationEntry>, EditError>,
) -> Result<(Vec<Step>, usize), EditError> {
    let mut steps = Vec::new();
    let mut kept: HashSet<EntryId> = HashSet::with_capacity(specs.len());
    let mut unchanged = 0;
    for spec in specs {
        match fate(state, spec) {
            Fate::Equal(held) => {
                unchanged += 1;
                kept.insert(held.entry.id().clone());
            }
            Fate::Missing => steps.push(Step::Create {
                entry: new_entry(spec.clone())?,
            }),
            Fate::Other(held, differences) => {
                kept.insert(held.entry.id().clone());
                let entry = Arc::new(held.entry.with_spec(spec.clone()));
                steps.push(Step::Update { held, entry, differences });
            }
        }
    }
    if others == Others::Delete {
        let surplus = state.entries.listed(None).filter(|held| !kept.contains(held.entry.id()));
        steps.extend(surplus.map(|held| Step::Delete { held: held.clone() }));
    }
    Ok((steps, unchanged))
}

#[cfg(test)]
mod tests {
    use trust_domains::Timestamp;
    use trust_domains::wire::admin::EntryDraft;

    use super::*;

    fn spec(path: &str, hint: Option<&str>) -> EntrySpec {
        let draft = EntryDraft {
            spiffe_id: path.to_owned(),
            selectors: vec!["unix:uid:1".to_owned()],
            hint: hint.map(str::to_owned),
            ..EntryDraft::default()
        };
        let node = "spiffe://example.org/troth/agent/join_token/a".parse().unwrap();
        EntrySpec::check(&draft, &"example.org".parse().unwrap(), node).unwrap()
    }

    fn named(id: &str, spec: EntrySpec) -> Arc<RegistrationEntry> {
        Arc::new(RegistrationEntry::new(id.parse().unwrap(), spec, Timestamp::from_unix(0)))
    }

    fn state(entries: &[(&str, EntrySpec)]) -> State {
        let mut state = State::empty_at(1);
        for (id, spec) in entries {
            state.entries.insert(HeldEntry {
                entry: named(id, spec.clone()),
                modified: 1,
            });
        }
        state
    }

    fn planned(state: &State, specs: &[EntrySpec], others: Others) -> (Vec<String>, usize) {
        let (steps, unchanged) = plan(state, specs, others, |spec| Ok(named("new", spec))).unwrap();
        let word = |step: &Step| match step {
            Step::Create { entry } => format!("create {}", entry.spiffe_id().path()),
            Step::Delete { held } => format!("delete {}", held.entry.id()),
            Step::Update { held, differences, entry } => format!("update {} {} {}", held.entry.id(), differences.join(","), entry.id()),
        };
        (steps.iter().map(word).collect(), unchanged)
    }

    #[test]
    fn a_list_becomes_true_and_stays_so() {
        let state = state(&[("one", spec("/one", None)), ("two", spec("/two", None)), ("three", spec("/three", None))]);
        let list = [spec("/new", None), spec("/two", Some("hint")), spec("/one", None)];
        let expected = vec!["create /new".to_owned(), "update two hint two".to_owned()];
        assert_eq!(planned(&state, &list, Others::Keep), (expected.clone(), 1));
        let with_deletion = [expected, vec!["delete three".to_owned()]].concat();
        assert_eq!(planned(&state, &list, Others::Delete), (with_deletion, 1));
        assert_eq!(planned(&state, &[], Others::Keep), (vec![], 0));
        let all = [spec("/one", None), spec("/two", None), spec("/three", None)];
        assert_eq!(planned(&state, &all, Others::Delete), (vec![], 3));
    }

    #[test]
    fn equal_entries_of_a_list_are_one_and_contradictory_ones_are_refused() {
        let list = [spec("/one", None), spec("/two", None), spec("/one", None)];
        assert_eq!(firsts(&list).unwrap(), [0, 1, 0]);
        let twice = firsts(&[spec("/one", None), spec("/two", None), spec("/two", Some("hint"))]).unwrap_err();
        assert_eq!((twice.earlier, twice.later, twice.differences), (1, 2, vec!["hint"]));
    }
}
