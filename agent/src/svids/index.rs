//! Finds the entries that a set of selectors satisfies, at a cost that does not grow with the number of entries.

use std::collections::HashMap;

use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Selector, SelectorSet};

/// Entries by one of their selectors each: an entry can only match who has that one.
#[derive(Default)]
pub(super) struct SelectorIndex {
    by_selector: HashMap<Selector, Vec<EntryId>>,
}

impl SelectorIndex {
    /// Files an entry under the one of its selectors that fewest entries are filed under; an entry without selectors is never found.
    pub(super) fn insert(&mut self, entry: &NodeEntry) {
        let rarest = entry
            .selectors
            .iter()
            .min_by_key(|selector| self.by_selector.get(*selector).map_or(0, Vec::len));
        if let Some(selector) = rarest {
            self.by_selector.entry(selector.clone()).or_default().push(entry.id.clone());
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, entry: &NodeEntry) {
        for selector in &entry.selectors {
            let Some(filed) = self.by_selector.get_mut(selector) else { continue };
            filed.retain(|id| id != &entry.id);
            if filed.is_empty() {
                self.by_selector.remove(selector);
            }
        }
    }

    /// Returns every entry that might match; the caller compares all selectors.
    pub(super) fn candidates<'a>(&'a self, proven: &'a SelectorSet) -> impl Iterator<Item = &'a EntryId> {
        proven.iter().filter_map(|selector| self.by_selector.get(selector)).flatten()
    }
}

/// Returns whether a process with these selectors is entitled to the entry: it has all of them, and there is at least one.
pub(super) fn matches(entry: &NodeEntry, proven: &SelectorSet) -> bool {
    !entry.selectors.is_empty() && entry.selectors.iter().all(|selector| proven.contains(selector))
}
