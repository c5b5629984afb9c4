//! The numbers of changes, so that a list can be watched.

use std::collections::VecDeque;

use trust_domains::{Timestamp, TrustDomain};

/// How many deletions are remembered: whoever asks after an older one is told everything.
const DELETIONS: usize = 1_024;

/// How many changes a second the numbers of one process may run ahead of its start: those of the next one begin behind them.
const NUMBERS_A_SECOND: u64 = 1 << 20;

/// Numbers changes of partners; they go up over restarts too.
#[derive(Debug)]
pub(super) struct Changes {
    newest: u64,
    /// The number since which every deletion is remembered.
    complete_after: u64,
    deleted: VecDeque<(u64, TrustDomain)>,
}

impl Changes {
    pub(super) fn starting_at(wall: Timestamp) -> Self {
        let start = u64::try_from(wall.unix()).unwrap_or(0).saturating_mul(NUMBERS_A_SECOND);
        Self {
            newest: start,
            complete_after: start,
            deleted: VecDeque::new(),
        }
    }

    /// Returns the number of a new change.
    pub(super) fn next(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// Notes that a partner is gone.
    pub(super) fn delete(&mut self, partner: TrustDomain) {
        let number = self.next();
        self.deleted.push_back((number, partner));
        while self.deleted.len() > DELETIONS {
            let Some((forgotten, _)) = self.deleted.pop_front() else { break };
            self.complete_after = forgotten;
        }
    }

    /// Returns the newest number.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns whether all that happened after a number can be told.
    pub(super) const fn knows(&self, since: u64) -> bool {
        since >= self.complete_after && since <= self.newest
    }

    /// Returns who went after a number.
    pub(super) fn deleted_after(&self, since: u64) -> impl Iterator<Item = &TrustDomain> {
        self.deleted.iter().filter(move |(number, _)| *number > since).map(|(_, partner)| partner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_is_never_passed_over() {
        let mut changes = Changes::starting_at(Timestamp::from_unix(1_800_000_000));
        let start = changes.newest();
        assert!(changes.knows(start) && !changes.knows(0) && !changes.knows(start + 1));
        for number in 0..=DELETIONS {
            changes.delete(format!("p{number}.test").parse().unwrap());
        }
        assert!(!changes.knows(start), "the first deletion is forgotten");
        assert!(changes.knows(start + 1));
        assert_eq!(changes.deleted_after(start + 1).count(), DELETIONS);
        assert_eq!(
            changes.deleted_after(changes.newest() - 1).map(TrustDomain::as_str).collect::<Vec<_>>(),
            ["p1024.test"]
        );
        let restarted = Changes::starting_at(Timestamp::from_unix(1_800_000_001));
        assert!(!restarted.knows(changes.newest()), "numbers of before a restart are not known");
    }
}
