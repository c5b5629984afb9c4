//! What is new to a hook: told to it, so that a script may leave out what costs much.

use std::collections::BTreeMap;

use crate::delivery::{Changed, Part};

/// In which set each part was new last.
///
/// A hook is told all that changed since the set with which it is through, also what runs that failed were told before.
#[derive(Debug, Clone, Default)]
pub struct Unread(BTreeMap<Part, u64>);

impl Unread {
    /// Notes what a set brought; sets come in their order.
    pub fn note(&mut self, set: u64, changed: &Changed) {
        self.0.extend(changed.parts().map(|part| (part, set)));
    }

    /// Returns what changed after a set.
    #[must_use]
    pub fn since(&self, seen: u64) -> Changed {
        self.0.iter().filter(|(_, set)| **set > seen).map(|(part, _)| *part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_told_all_that_came_since_it_succeeded() {
        let mut unread = Unread::default();
        let all: Changed = Part::ALL.into_iter().collect();
        unread.note(1, &all);
        unread.note(2, &[Part::Crl].into_iter().collect());
        unread.note(3, &[Part::Svid].into_iter().collect());
        let told = |seen| unread.since(seen).to_string();
        assert_eq!(told(0), "svid,bundle,crl,token");
        assert_eq!((told(1), told(2), told(3)), ("svid,crl".to_owned(), "svid".to_owned(), String::new()));
    }
}
