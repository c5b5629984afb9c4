//! Which facts that cost are worth reading for one process: those that an entry asks for which its ids do not rule out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use trust_domains::wire::node::NodeEntry;
use trust_domains::{Revision, Selector, SelectorSet};

use crate::svids::{SvidCache, WantedFacts};

/// How many different sets of ids are remembered: a machine has few users, and each has few sets of groups.
const MAX_REMEMBERED: usize = 1_024;

/// What entries of this node ask for, as of the commit that the cache shows.
///
/// With each commit every open stream asks again; 500 streams of one user look through the entries once.
#[derive(Default)]
pub(super) struct CostlyEntries {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    shown: Option<Revision>,
    /// The entries that ask for facts that cost.
    entries: Vec<Arc<NodeEntry>>,
    asked_of: HashMap<SelectorSet, WantedFacts>,
}

impl CostlyEntries {
    /// Returns the facts to read of a process with these ids.
    pub(super) fn asked_of(&self, cache: &SvidCache, ids: &SelectorSet) -> WantedFacts {
        // Most nodes have no such entry: nothing is looked up for them.
        if !costs(*cache.wanted_kinds()) {
            return WantedFacts::default();
        }
        // Read first: entries that are newer than the commit they are filed under are only looked up once more.
        let shown = *cache.shown().borrow();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_none() || known.shown != shown {
            let entries = cache
                .entries()
                .iter()
                .filter(|entry| costs(WantedFacts::of([entry.as_ref()])))
                .cloned()
                .collect();
            *known = Known {
                shown,
                entries,
                asked_of: HashMap::new(),
            };
        }
        known.asked_of(ids)
    }
}

impl Known {
    fn asked_of(&mut self, ids: &SelectorSet) -> WantedFacts {
        if let Some(asked) = self.asked_of.get(ids) {
            return *asked;
        }
        let asked = WantedFacts::of(self.entries.iter().map(AsRef::as_ref).filter(|entry| ids_allow(entry, ids)));
        if self.asked_of.len() < MAX_REMEMBERED {
            self.asked_of.insert(ids.clone(), asked);
        }
        asked
    }
}

/// Returns whether reading the one set of facts reads something that the other does not.
pub(super) fn reads_more(asked: WantedFacts, before: WantedFacts) -> bool {
    (asked.user && !before.user) || (asked.group && !before.group) || (asked.path && !before.path) || (asked.sha256 && !before.sha256)
}

fn costs(wanted: WantedFacts) -> bool {
    reads_more(wanted, WantedFacts::default())
}

/// Returns whether the process has every id that the entry demands.
fn ids_allow(entry: &NodeEntry, ids: &SelectorSet) -> bool {
    entry.selectors.iter().filter(|selector| is_id(selector)).all(|selector| ids.contains(selector))
}

fn is_id(selector: &Selector) -> bool {
    selector.kind() == "unix" && matches!(selector.value().split(':').next(), Some("uid" | "gid" | "supplementary_gid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(selectors: &[&str]) -> NodeEntry {
        NodeEntry {
            id: "entry".parse().unwrap(),
            spiffe_id: "spiffe://test/web".parse().unwrap(),
            selectors: selectors.iter().map(|selector| selector.parse().unwrap()).collect(),
            class: "medium".parse().unwrap(),
            x509_ttl_s: 60,
            hint: None,
            federates_with: Vec::new(),
            dns_names: Vec::new(),
            subject_cn: None,
            created_at: trust_domains::Timestamp::from_unix(0),
            expires_at: None,
            revision: Revision { epoch: 1, counter: 1 },
        }
    }

    #[test]
    fn an_entry_of_another_user_makes_nobody_read_a_hash() {
        let ids: SelectorSet = ["unix:uid:1000", "unix:gid:100"].iter().map(|selector| selector.parse().unwrap()).collect();
        for (selectors, worth_reading) in [
            (&["unix:uid:1000", "unix:sha256:00"][..], true),
            (&["unix:uid:1001", "unix:sha256:00"], false),
            (&["unix:sha256:00"], true),
            (&["unix:user:alice", "unix:supplementary_gid:4"], false),
        ] {
            assert_eq!(ids_allow(&entry(selectors), &ids), worth_reading, "{selectors:?}");
        }
    }

    #[test]
    fn only_facts_that_cost_count_as_more_to_read() {
        assert!(!costs(WantedFacts {
            supplementary_gid: true,
            ..WantedFacts::default()
        }));
        assert!(costs(WantedFacts {
            user: true,
            ..WantedFacts::default()
        }));
        assert!(!reads_more(
            WantedFacts {
                path: true,
                ..WantedFacts::default()
            },
            WantedFacts::ALL
        ));
        assert!(reads_more(
            WantedFacts::ALL,
            WantedFacts {
                path: true,
                ..WantedFacts::default()
            }
        ));
    }
}
