//! The recent changes of entries and of the bundles of partners, so that an agent that lost its stream goes on where it was.

use std::collections::{BTreeSet, VecDeque};

use trust_domains::{EntryId, SpiffeId, TrustDomain};

/// How many changes are remembered: about 2 MiB, some seconds of the fastest bulk change. Whoever was away longer gets a whole snapshot, which costs it
/// no more than its own entries.
pub const RECENT_CHANGES: usize = 16_384;

/// Something was made, changed or removed; what it is now is in the index.
#[derive(Debug, Clone)]
struct RecentChange {
    counter: u64,
    subject: Subject,
}

#[derive(Debug, Clone)]
enum Subject {
    /// An entry under a node or an alias; one that a node got or lost with an alias, under the node.
    Entry { parent: SpiffeId, id: EntryId },
    /// Which partners every entry has.
    Everyones,
    /// The bundle of a partner.
    Partner(TrustDomain),
}

/// The changes after a certain commit, bounded.
#[derive(Debug)]
pub struct ChangeLog {
    complete_after: u64,
    partners_changed_at: u64,
    changes: VecDeque<RecentChange>,
    bound: usize,
}

impl ChangeLog {
    /// Returns an empty log that remembers every change after this commit.
    #[must_use]
    pub fn starting_at(counter: u64, bound: usize) -> Self {
        Self {
            complete_after: counter,
            partners_changed_at: counter,
            changes: VecDeque::new(),
            bound,
        }
    }

    /// Notes a change of an entry; counters never go back.
    pub fn note(&mut self, counter: u64, parent: SpiffeId, id: EntryId) {
        self.push(counter, Subject::Entry { parent, id });
    }

    /// Notes a change of a partner's bundle.
    pub fn note_partner(&mut self, counter: u64, partner: TrustDomain) {
        self.partners_changed_at = counter;
        self.push(counter, Subject::Partner(partner));
    }

    /// Notes that a partner became or ceased to be every entry's.
    pub fn note_everyones(&mut self, counter: u64) {
        self.push(counter, Subject::Everyones);
    }

    /// Returns the newest commit that changed the bundle of a partner; the one with which the log began where none did since.
    #[must_use]
    pub const fn partners_changed_at(&self) -> u64 {
        self.partners_changed_at
    }

    fn push(&mut self, counter: u64, subject: Subject) {
        self.changes.push_back(RecentChange { counter, subject });
        while self.changes.len() > self.bound {
            let Some(forgotten) = self.changes.pop_front() else { break };
            self.complete_after = forgotten.counter;
        }
    }

    /// Returns the entries under a node and its aliases that changed after a commit, or nothing when that was too long ago to tell.
    #[must_use]
    pub fn since(&self, after: u64, parents: &[&SpiffeId]) -> Option<BTreeSet<EntryId>> {
        if after < self.complete_after {
            return None;
        }
        let of_node = |subject: &Subject| match subject {
            Subject::Entry { parent, id } if parents.contains(&parent) => Some(id.clone()),
            Subject::Entry { .. } | Subject::Everyones | Subject::Partner(_) => None,
        };
        Some(self.subjects_after(after).filter_map(of_node).collect())
    }

    /// Returns the partners whose bundles changed after a commit that is remembered.
    pub fn partners_since(&self, after: u64) -> impl Iterator<Item = &TrustDomain> {
        self.subjects_after(after).filter_map(|subject| match subject {
            Subject::Partner(partner) => Some(partner),
            Subject::Entry { .. } | Subject::Everyones => None,
        })
    }

    /// Returns whether other partners are every entry's than at a commit that is remembered.
    #[must_use]
    pub fn everyones_partners_since(&self, after: u64) -> bool {
        self.subjects_after(after).any(|subject| matches!(subject, Subject::Everyones))
    }

    fn subjects_after(&self, after: u64) -> impl Iterator<Item = &Subject> {
        let first = self.changes.partition_point(|change| change.counter <= after);
        self.changes.range(first..).map(|change| &change.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> SpiffeId {
        format!("spiffe://example.org/troth/agent/join_token/{name}").parse().unwrap()
    }

    fn id(text: &str) -> EntryId {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_is_told_its_own_changes_after_the_commit_it_shows() {
        let mut log = ChangeLog::starting_at(10, 100);
        log.note(11, node("a"), id("one"));
        log.note(12, node("b"), id("two"));
        log.note(13, node("a"), id("three"));
        assert_eq!(log.since(10, &[&node("a")]), Some(BTreeSet::from([id("one"), id("three")])));
        assert_eq!(log.since(11, &[&node("a")]), Some(BTreeSet::from([id("three")])));
        assert_eq!(log.since(13, &[&node("a")]), Some(BTreeSet::new()));
        assert_eq!(log.since(9, &[&node("a")]), None, "before the log began");
    }

    #[test]
    fn what_was_forgotten_is_never_passed_over() {
        let mut log = ChangeLog::starting_at(0, 3);
        for counter in 1..=10 {
            log.note(counter, node("a"), id(&format!("e{counter}")));
            for after in 0..=counter {
                if let Some(ids) = log.since(after, &[&node("a")]) {
                    let expected: BTreeSet<_> = (after + 1..=counter).map(|n| id(&format!("e{n}"))).collect();
                    assert_eq!(ids, expected, "after {after} of {counter}");
                } else {
                    assert!(counter - after > 3, "{after} of {counter} is still remembered");
                }
            }
        }
    }

    #[test]
    fn a_commit_is_remembered_whole_or_not_at_all() {
        let mut log = ChangeLog::starting_at(0, 2);
        for name in ["a", "b", "c"] {
            log.note(1, node("a"), id(name));
        }
        assert_eq!(log.since(0, &[&node("a")]), None);
        assert_eq!(log.since(1, &[&node("a")]), Some(BTreeSet::new()));
    }
}
