//! What a stream asks for, within limits.

use std::collections::BTreeSet;

use super::catalog::Catalog;

/// The most names of one stream: an Envoy asks for one on each, a gRPC client for a few.
pub(super) const MAX_NAMES: usize = 1_000;

/// The most octets in the names of one stream: a thousand of common length. What is remembered of a stream is at most this.
pub(super) const MAX_NAME_OCTETS: usize = 128 * 1024;

/// The name that stands for everything.
pub(super) const EVERYTHING: &str = "*";

/// A stream asks for more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    /// Names.
    #[error("{actual} resource names on one stream; the most are {limit}")]
    Names { limit: usize, actual: usize },
    /// Octets.
    #[error("resource names of {actual} octets on one stream; the most are {limit}")]
    Octets { limit: usize, actual: usize },
}

/// The names that a stream asks for, never more than [`MAX_NAMES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interest {
    everything: bool,
    names: BTreeSet<String>,
    octets: usize,
}

impl Interest {
    /// Returns an interest in everything.
    pub(super) fn in_everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Returns an interest in these names alone.
    pub(super) fn in_names(names: Vec<String>) -> Result<Self, TooMuch> {
        let mut interest = Self::default();
        for name in names {
            interest.add(name)?;
        }
        Ok(interest)
    }

    /// Adds a name; an empty one is none.
    pub(super) fn add(&mut self, name: String) -> Result<(), TooMuch> {
        if name == EVERYTHING {
            self.everything = true;
            return Ok(());
        }
        if name.is_empty() || self.names.contains(&name) {
            return Ok(());
        }
        if self.names.len() >= MAX_NAMES {
            return Err(TooMuch::Names {
                limit: MAX_NAMES,
                actual: self.names.len() + 1,
            });
        }
        let octets = self.octets + name.len();
        if octets > MAX_NAME_OCTETS {
            return Err(TooMuch::Octets {
                limit: MAX_NAME_OCTETS,
                actual: octets,
            });
        }
        self.octets = octets;
        self.names.insert(name);
        Ok(())
    }

    /// Takes a name out. Returns whether it was in by itself.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if name == EVERYTHING {
            return std::mem::take(&mut self.everything);
        }
        let removed = self.names.remove(name);
        if removed {
            self.octets -= name.len();
        }
        removed
    }

    /// Returns whether everything is asked for.
    pub(super) fn is_in_everything(&self) -> bool {
        self.everything
    }

    /// Returns whether this name is asked for by itself.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Returns whether this name of the catalog is asked for, by itself or with everything.
    pub(super) fn covers(&self, name: &str, catalog: &Catalog) -> bool {
        self.names.contains(name) || (self.everything && catalog.is_sent_to_all(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_at_most_a_thousand_names_and_as_many_octets_of_them_as_are_remembered() {
        let names = |count: usize| (0..count).map(|number| format!("spiffe://td/{number}")).collect::<Vec<_>>();
        let mut full = Interest::in_names(names(MAX_NAMES)).unwrap();
        full.add("spiffe://td/0".to_owned()).unwrap();
        assert_eq!(full.add("one-more".to_owned()), Err(TooMuch::Names { limit: 1_000, actual: 1_001 }));
        assert!(full.remove("spiffe://td/7") && !full.remove("spiffe://td/7"));
        full.add("one-more".to_owned()).unwrap();
        assert!(matches!(Interest::in_names(vec!["x".repeat(MAX_NAME_OCTETS + 1)]), Err(TooMuch::Octets { .. })));
        let mut long = Interest::in_names(vec!["x".repeat(MAX_NAME_OCTETS)]).unwrap();
        assert!(long.add("y".to_owned()).is_err());
        long.remove(&"x".repeat(MAX_NAME_OCTETS));
        long.add("y".to_owned()).unwrap();
    }
}
