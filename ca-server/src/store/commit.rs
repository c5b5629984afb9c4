//! A commit: preconditions and writes that become one revision, or nothing.

use bytes::Bytes;

use super::{CommitError, Key};

/// What must hold when a commit is performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// There is no such record.
    Absent(Key),
    /// There is such a record.
    Present(Key),
    /// There is such a record, last written by the revision with this counter.
    Unmodified(Key, u64),
}

/// One write of a commit.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Takes the record away; no error where there is none.
    Delete(Key),
    /// Writes the record, new or over the old one.
    Put(Key, Bytes),
}

/// A named set of preconditions and writes. Of two writes to one key the later counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What happens, in one word: a metric label, as `entry_created`.
    pub name: &'static str,
    /// What must hold; judged before any of the writes.
    pub preconditions: Vec<Precondition>,
    /// What is written.
    pub writes: Vec<Write>,
}

impl Commit {
    /// The most writes in one commit. sled rewrites a page for each ten writes to it; a page holds up to 17 items, of at most 4 KiB, so that the worst
    /// commit puts some 50 MiB into the log: less than the [reserve](super::disk::RESERVE) that is free when it starts.
    pub const MAX_WRITES: usize = 5_000;

    /// The most octets of keys and values in one commit: with the above, a commit never eats up the reserve.
    pub const MAX_OCTETS: usize = 8 * 1024 * 1024;

    /// Returns an empty commit.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            preconditions: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Asks that there be no such record.
    #[must_use]
    pub fn absent(mut self, key: Key) -> Self {
        self.preconditions.push(Precondition::Absent(key));
        self
    }

    /// Asks that there be such a record.
    #[must_use]
    pub fn present(mut self, key: Key) -> Self {
        self.preconditions.push(Precondition::Present(key));
        self
    }

    /// Asks that the record be the one that the revision with this counter wrote.
    #[must_use]
    pub fn unmodified(mut self, key: Key, modified: u64) -> Self {
        self.preconditions.push(Precondition::Unmodified(key, modified));
        self
    }

    /// Writes a record.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Put(key, value.into()));
        self
    }

    /// Takes a record away.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.writes.push(Write::Delete(key));
        self
    }

    /// Returns the octets of its keys and values.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.writes.iter().map(Write::octets).sum()
    }

    /// Refuses a commit over the limits.
    pub(super) fn check_size(&self) -> Result<(), CommitError> {
        let (writes, octets) = (self.writes.len(), self.octets());
        if writes > Self::MAX_WRITES || octets > Self::MAX_OCTETS {
            return Err(CommitError::TooLarge { writes, octets });
        }
        Ok(())
    }
}

impl Precondition {
    /// Returns the key that it is about.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Unmodified(key, _) => key,
        }
    }

    /// Returns whether it holds for a record last modified so; `None` is no record.
    #[must_use]
    pub fn holds(&self, modified: Option<u64>) -> bool {
        match self {
            Self::Absent(_) => modified.is_none(),
            Self::Present(_) => modified.is_some(),
            Self::Unmodified(_, expected) => modified == Some(*expected),
        }
    }
}

impl Write {
    /// Returns the key that it is about.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Delete(key) | Self::Put(key, _) => key,
        }
    }

    /// Returns the value that the record has afterwards.
    #[must_use]
    pub const fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Delete(_) => None,
            Self::Put(_, value) => Some(value),
        }
    }

    fn octets(&self) -> usize {
        self.key().as_str().len() + self.value().map_or(0, Bytes::len)
    }
}

impl std::fmt::Debug for Write {
    /// Shows the length of a value only: it may hold selectors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delete(key) => write!(f, "Delete({key})"),
            Self::Put(key, value) => write!(f, "Put({key}, {} bytes)", value.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_is_judged_by_the_last_modification() {
        let key = Key::meta("k");
        let cases = [
            (Precondition::Absent(key.clone()), None, true),
            (Precondition::Absent(key.clone()), Some(1), false),
            (Precondition::Present(key.clone()), None, false),
            (Precondition::Present(key.clone()), Some(1), true),
            (Precondition::Unmodified(key.clone(), 7), None, false),
            (Precondition::Unmodified(key.clone(), 7), Some(7), true),
            (Precondition::Unmodified(key, 7), Some(8), false),
        ];
        for (precondition, modified, expected) in cases {
            assert_eq!(precondition.holds(modified), expected, "{precondition:?} with {modified:?}");
        }
    }

    #[test]
    fn a_commit_over_a_limit_is_refused_and_one_at_the_limit_is_not() {
        let many = |count: usize| (0..count).fold(Commit::new("many"), |commit, _| commit.delete(Key::meta("k")));
        assert!(many(Commit::MAX_WRITES).check_size().is_ok());
        assert!(matches!(
            many(Commit::MAX_WRITES + 1).check_size(),
            Err(CommitError::TooLarge { writes: 5_001, .. })
        ));
        let wide = |len: usize| Commit::new("wide").put(Key::meta("k"), vec![0; len - "meta/k".len()]);
        assert!(wide(Commit::MAX_OCTETS).check_size().is_ok());
        assert!(matches!(
            wide(Commit::MAX_OCTETS + 1).check_size(),
            Err(CommitError::TooLarge { writes: 1, .. })
        ));
    }

    #[test]
    fn debug_output_holds_no_value() {
        let commit = Commit::new("put").put(Key::meta("k"), "unix:uid:1000");
        assert!(!format!("{commit:?}").contains("1000"));
    }
}
