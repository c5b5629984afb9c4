//! Which tokens were used least recently, in all and of each entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use trust_domains::EntryId;

use super::held::TokenKey;

/// The order of use of what is held.
#[derive(Default)]
pub(super) struct Uses {
    order: BTreeMap<u64, TokenKey>,
    of_entry: HashMap<EntryId, BTreeSet<u64>>,
    latest: u64,
}

impl Uses {
    /// Notes a use, and returns its number; `before` is that of the key's last use.
    pub(super) fn note(&mut self, key: &TokenKey, before: Option<u64>) -> u64 {
        self.forget(key, before);
        self.latest += 1;
        self.order.insert(self.latest, key.clone());
        self.of_entry.entry(key.entry().clone()).or_default().insert(self.latest);
        self.latest
    }

    /// Takes a key out.
    pub(super) fn forget(&mut self, key: &TokenKey, number: Option<u64>) {
        let Some(number) = number else { return };
        self.order.remove(&number);
        if let Some(numbers) = self.of_entry.get_mut(key.entry()) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of_entry.remove(key.entry());
            }
        }
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    /// Returns how many there are of an entry.
    pub(super) fn count_of(&self, entry: &EntryId) -> usize {
        self.of_entry.get(entry).map_or(0, BTreeSet::len)
    }

    /// Returns the key that was not used for longest.
    pub(super) fn oldest(&self) -> Option<TokenKey> {
        self.order.first_key_value().map(|(_, key)| key.clone())
    }

    /// Returns the key of an entry that was not used for longest.
    pub(super) fn oldest_of(&self, entry: &EntryId) -> Option<TokenKey> {
        let number = self.of_entry.get(entry)?.first()?;
        self.order.get(number).cloned()
    }
}
