//! The revocation lists that go out with each commit, and how one set came of the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use trust_domains::crl::{CrlSet, PatchPart};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::wire::crls::{CrlsChange, CrlsWhole, IssuedCrl};

/// How many changes are remembered for agents that come back: a minute of revocations, one a second.
const REMEMBERED: usize = 64;

/// The most octets of the changes that are remembered; whoever missed more gets the whole set.
const REMEMBERED_OCTETS: usize = 512 * 1024;

/// A set that goes out with the commit that stores its number.
#[derive(Debug)]
pub struct StagedCrls {
    /// The number of the lists in it that are new.
    pub number: u64,
    /// The lists.
    pub set: Arc<CrlSet>,
}

/// What was published so far.
#[derive(Debug, Default)]
pub struct PublishedCrls {
    /// The highest number that was ever stored.
    number: Option<u64>,
    current: Option<Current>,
    /// Each with the commit that brought it; the first is the one after the set at `complete_after`.
    changes: VecDeque<(u64, CrlsChange)>,
    complete_after: u64,
    /// The commit with which the first list of each CA of the set went out.
    out_since: BTreeMap<AuthorityId, u64>,
}

#[derive(Debug)]
struct Current {
    counter: u64,
    set: Arc<CrlSet>,
}

impl PublishedCrls {
    /// Returns the highest number that was ever stored; none where no list was ever signed.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    /// Returns the set that is out.
    #[must_use]
    pub fn set(&self) -> Option<&Arc<CrlSet>> {
        self.current.as_ref().map(|current| &current.set)
    }

    /// Takes in a stored number, and with it the set that waits for it.
    pub(super) fn publish(&mut self, counter: u64, number: u64, staged: Option<StagedCrls>) {
        self.number = self.number.max(Some(number));
        let Some(StagedCrls { set, .. }) = staged.filter(|staged| staged.number == number) else {
            return;
        };
        match &self.current {
            Some(before) => self.changes.push_back((counter, before.set.change_to(&set))),
            None => self.complete_after = counter,
        }
        self.out_since = set
            .lists()
            .map(|(ca, _)| (ca.id().clone(), self.out_since(ca.id()).unwrap_or(counter)))
            .collect();
        self.current = Some(Current { counter, set });
        self.forget();
    }

    pub(super) fn loaded(&mut self, number: u64) {
        self.number = self.number.max(Some(number));
    }

    fn forget(&mut self) {
        let mut octets: usize = self.changes.iter().map(|(_, change)| octets(change)).sum();
        while self.changes.len() > REMEMBERED || octets > REMEMBERED_OCTETS {
            let Some((counter, change)) = self.changes.pop_front() else { break };
            octets -= self::octets(&change);
            self.complete_after = counter;
        }
    }

    /// Returns the commit with which the first list of a CA went out.
    #[must_use]
    pub fn out_since(&self, ca: &AuthorityId) -> Option<u64> {
        self.out_since.get(ca).copied()
    }

    /// Returns the whole set, as a snapshot has it.
    #[must_use]
    pub fn whole(&self) -> Option<CrlsWhole> {
        self.current.as_ref().map(|current| current.set.whole())
    }

    /// Returns what a stream must be told that was told everything up to a commit of this process: nothing, changes one after the other, or the whole set.
    #[must_use]
    pub fn since(&self, told: u64) -> Vec<CrlsChange> {
        match &self.current {
            None => Vec::new(),
            Some(current) if current.counter <= told => Vec::new(),
            Some(current) if told < self.complete_after => vec![CrlsChange::Whole(current.set.whole())],
            Some(_) => {
                let first = self.changes.partition_point(|(counter, _)| *counter <= told);
                self.changes.range(first..).map(|(_, change)| change.clone()).collect()
            }
        }
    }
}

/// Returns about the octets that a change takes here.
fn octets(change: &CrlsChange) -> usize {
    let of_lists = |lists: &[IssuedCrl]| lists.iter().map(|list| list.issuer.0.len() + list.crl.0.len()).sum::<usize>();
    match change {
        CrlsChange::Whole(whole) => of_lists(&whole.lists),
        CrlsChange::Withdrawn => 0,
        CrlsChange::Changed { added, patches, .. } => {
            let of_part = |part: &PatchPart| match part {
                PatchPart::Insert(octets) => octets.0.len() + size_of::<PatchPart>(),
                PatchPart::Keep { .. } => size_of::<PatchPart>(),
            };
            of_lists(added) + patches.iter().flat_map(|patch| &patch.parts).map(of_part).sum::<usize>()
        }
    }
}
