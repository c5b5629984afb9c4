//! Which credentials are kept although nobody uses them: the most recently used.

use std::collections::{BTreeMap, HashMap};

use trust_domains::EntryId;

/// Entries that nobody uses now, oldest use first.
#[derive(Default)]
pub(crate) struct Recency {
    by_age: BTreeMap<u64, EntryId>,
    age_of: HashMap<EntryId, u64>,
    uses: u64,
}

impl Recency {
    /// Notes that the entry was used until now and no longer is.
    pub(crate) fn put(&mut self, id: &EntryId) {
        self.take(id);
        self.uses += 1;
        self.by_age.insert(self.uses, id.clone());
        self.age_of.insert(id.clone(), self.uses);
    }

    /// Takes the entry out: it is used, or gone.
    pub(crate) fn take(&mut self, id: &EntryId) {
        if let Some(age) = self.age_of.remove(id) {
            self.by_age.remove(&age);
        }
    }

    /// Takes out those past the limit, least recently used first.
    pub(crate) fn trim(&mut self, limit: usize) -> Vec<EntryId> {
        let mut dropped = Vec::new();
        while self.by_age.len() > limit {
            let Some((_, id)) = self.by_age.pop_first() else { break };
            self.age_of.remove(&id);
            dropped.push(id);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_go_first() {
        let [one, two, three]: [EntryId; 3] = ["one", "two", "three"].map(|id| id.parse().unwrap());
        let mut recency = Recency::default();
        recency.put(&one);
        recency.put(&two);
        recency.put(&three);
        recency.put(&one);
        recency.take(&two);
        assert_eq!(recency.trim(1), [three]);
        assert_eq!(recency.trim(1), []);
    }
}
