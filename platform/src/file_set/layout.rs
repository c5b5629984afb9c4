//! How a set lies in its directory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use trust_domains::delivery::SetFile;

use super::directory::Directory;
use super::error::FileSetError;
use super::ownership::Ownership;
use super::{generation, single_files};

/// How a set lies in its directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Links through `..data` to a whole generation, which one rename replaces: readers never see a mix.
    #[default]
    Linked,
    /// Each name is a file, replaced by a rename: for programs that do not follow links. A reader of several may see some of the set before and some of
    /// the next; [the module](super) says in which order.
    SingleFiles,
}

/// The text is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is neither linked nor single-files")]
pub struct ParseLayoutError {
    /// What was given.
    pub presented: String,
}

impl Layout {
    /// Replaces the set in a directory, in whichever layout that one was. When it fails, what was there before stays; whole, if the layout is
    /// [`Linked`](Self::Linked).
    ///
    /// # Errors
    /// When something that was not put there by this function has one of the names, or a call of the system fails: a full disk, a file system that is
    /// read-only.
    pub fn publish(self, directory: &Directory, files: &[SetFile], ownership: &Ownership) -> Result<(), FileSetError> {
        match self {
            Self::Linked => generation::publish(directory, files, ownership),
            Self::SingleFiles => single_files::publish(directory, files, ownership),
        }
    }
}

impl FromStr for Layout {
    type Err = ParseLayoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linked" => Ok(Self::Linked),
            "single-files" => Ok(Self::SingleFiles),
            _ => Err(ParseLayoutError { presented: text.to_owned() }),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linked => "linked",
            Self::SingleFiles => "single-files",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_round_trip() {
        for layout in [Layout::Linked, Layout::SingleFiles] {
            assert_eq!(layout.to_string().parse(), Ok(layout));
            assert_eq!(serde_json::to_value(layout).unwrap(), layout.to_string());
        }
        assert!("files".parse::<Layout>().is_err());
    }
}
