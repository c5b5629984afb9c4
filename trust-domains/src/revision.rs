//! Revisions: which commit of the store a value shows.

use std::fmt;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A commit of the store: `EPOCH.COUNTER`, the epoch as 16 hex digits.
///
/// Init, restore and migrate draw a new random epoch. Revisions of different epochs have no order: whoever resumes with another epoch starts from a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision {
    /// Which history of the store.
    pub epoch: u64,
    /// Which commit of that history, from 1; 0 is before the first.
    pub counter: u64,
}

impl Revision {
    /// Returns the revision of a commit.
    #[must_use]
    pub const fn new(epoch: u64, counter: u64) -> Self {
        Self { epoch, counter }
    }

    /// Returns whether this is a later commit of the same history.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.epoch == other.epoch && self.counter > other.counter
    }

    /// Returns whether a reader at this revision shows all that the other commit of the same history did.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.epoch == other.epoch && self.counter >= other.counter
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.epoch, self.counter)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({self})")
    }
}

impl FromStr for Revision {
    type Err = ParseRevisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, counter) = text.split_once('.').ok_or(ParseRevisionError)?;
        if epoch.len() != 16 || !epoch.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseRevisionError);
        }
        // One text for one revision: no sign, no leading zeros.
        if !counter.bytes().all(|octet| octet.is_ascii_digit()) || (counter.len() > 1 && counter.starts_with('0')) {
            return Err(ParseRevisionError);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| ParseRevisionError)?;
        let counter = counter.parse().map_err(|_| ParseRevisionError)?;
        Ok(Self { epoch, counter })
    }
}

serde_as_text!(Revision, "a revision, EPOCH.COUNTER");

/// The text is not a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision is 16 hex digits, a dot and a number")]
pub struct ParseRevisionError;

impl Coded for ParseRevisionError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_refused() {
        let table = [
            "",
            ".",
            "1.1",
            "00000000000000aB.1",
            "00000000000000ab.",
            "00000000000000ab.01",
            "00000000000000ab.+1",
            "00000000000000ab.-1",
            "00000000000000ab.18446744073709551616",
            "+0000000000000ab.1",
            "00000000000000ab.1.1",
        ];
        for text in table {
            assert_eq!(text.parse::<Revision>(), Err(ParseRevisionError), "{text}");
        }
        assert_eq!("00000000000000ab.12".parse(), Ok(Revision::new(0xab, 12)));
    }

    #[test]
    fn revisions_of_different_epochs_have_no_order() {
        let (one, later, other) = (Revision::new(1, 5), Revision::new(1, 6), Revision::new(2, 7));
        assert!(later.is_after(one) && later.includes(one) && one.includes(one));
        assert!(!one.is_after(one) && !one.is_after(later) && !one.includes(later));
        assert!(!other.is_after(one) && !one.is_after(other) && !other.includes(one));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(epoch in any::<u64>(), counter in any::<u64>()) {
            let revision = Revision::new(epoch, counter);
            prop_assert_eq!(revision.to_string().parse(), Ok(revision));
            let json = serde_json::to_string(&revision).unwrap();
            prop_assert_eq!(serde_json::from_str::<Revision>(&json).unwrap(), revision);
        }

        #[test]
        fn any_text_is_refused_or_comes_back_unchanged(text in any::<String>().prop_union("[0-9a-fA-F]{15,17}\\.[0-9]{0,21}")) {
            if let Ok(revision) = text.parse::<Revision>() {
                prop_assert_eq!(revision.to_string(), text);
            }
        }
    }
}
