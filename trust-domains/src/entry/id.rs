//! Names of entries.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// Names an entry: always 1 to 64 of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(Arc<str>);

impl EntryId {
    /// The longest id in bytes: those that a server draws have 32.
    pub const MAX_LEN: usize = 64;

    /// Returns a new id of 32 hex digits whose order is that of `sequence`.
    ///
    /// A workload's identities are ordered by the second in which their entries were made, then by id: with the sequence in front, people can predict
    /// which of two entries of one second is the first (WAPI-23).
    #[must_use]
    pub fn in_sequence(sequence: u32, random: [u8; 12]) -> Self {
        Self(format!("{sequence:08x}{}", hex::encode(random)).into())
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryId {
    type Err = ParseEntryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(ParseEntryIdError { limit: Self::MAX_LEN })
        }
    }
}

impl AsRef<str> for EntryId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({self})")
    }
}

serde_as_text!(EntryId, "an entry's id");

/// The text is not an entry's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry's id has 1 to {limit} of a-z, 0-9 and '-'")]
pub struct ParseEntryIdError {
    /// The most bytes.
    pub limit: usize,
}

impl Coded for ParseEntryIdError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "list the entries and their ids: troth entry list".to_owned()
    }
}
