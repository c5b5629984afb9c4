//! The name of a delivered file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a file in a set: relative, at most one folder deep. Always valid.
///
/// Each part has 1 to 255 octets of `A-Z a-z 0-9 . - _`, and is neither `.` nor `..`. The first part does not begin with `..`: such names in a
/// directory are those of whoever puts sets in place, and so are all with another character, as `~`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// The text cannot be the name of a delivered file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{presented:?} is no name for a delivered file: one or two parts of letters, digits, . - and _, of up to {longest} each",
    longest = FileName::LONGEST_PART
)]
pub struct ParseFileNameError {
    /// What was given.
    pub presented: String,
}

impl FileName {
    /// The longest name of a file or folder on Linux (limits.h, NAME_MAX).
    pub const LONGEST_PART: usize = 255;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the folder that the file is in, if it is in one.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        self.0.split_once('/').map(|(folder, _)| folder)
    }

    /// Returns what stands in the directory itself: the folder, or the file.
    #[must_use]
    pub fn top(&self) -> &str {
        self.folder().unwrap_or(&self.0)
    }

    /// Returns the name in its folder.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, base)| base)
    }
}

impl FromStr for FileName {
    type Err = ParseFileNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (top, base) = text.split_once('/').map_or((text, None), |(top, base)| (top, Some(base)));
        let valid = !top.starts_with("..") && is_part(top) && base.is_none_or(is_part);
        valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| ParseFileNameError { presented: text.to_owned() })
    }
}

fn is_part(part: &str) -> bool {
    (1..=FileName::LONGEST_PART).contains(&part.len())
        && !matches!(part, "." | "..")
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl TryFrom<String> for FileName {
    type Error = ParseFileNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_directory() {
        let longest = "a".repeat(FileName::LONGEST_PART);
        for name in [
            "svid.pem",
            "federated/a.pem",
            "federated/..pem",
            "federated/...pem",
            ".a",
            "jwt/Vault_1.token",
            longest.as_str(),
        ] {
            assert_eq!(name.parse::<FileName>().unwrap().to_string(), name);
        }
        let too_long = "a".repeat(FileName::LONGEST_PART + 1);
        for wrong in [
            "",
            "/",
            "/a",
            "a/",
            ".",
            "..",
            "..data",
            "..data/a",
            "../a",
            "a/..",
            "a/.",
            "a/b/c",
            "a b",
            "a~",
            "a\0",
            "\u{e4}",
            too_long.as_str(),
        ] {
            assert!(wrong.parse::<FileName>().is_err(), "{wrong:?}");
            assert!(serde_json::from_value::<FileName>(wrong.into()).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_name(text in "[a./~]{0,6}") {
            let Ok(name) = text.parse::<FileName>() else { return Ok(()) };
            let joined = name.folder().map_or_else(|| name.base().to_owned(), |folder| format!("{folder}/{}", name.base()));
            prop_assert_eq!(&joined, name.as_str());
            prop_assert!(!name.base().contains('/') && !name.top().contains('/') && name.as_str().starts_with(name.top()));
        }
    }
}
