//! What the agent asks of a helper, and what it answers.

use platform::file_set::{Delivery, Layout};
use serde::{Deserialize, Serialize};
use trust_domains::delivery::FileName;
use trust_domains::problem::Coded;

/// What the helper does next. Each begins by looking at the directory, and opening it if that is not done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    /// Puts a set in place. The contents of the files follow.
    Deliver {
        /// How it lies.
        layout: Layout,
        /// The mode of keys, as text.
        key_mode: String,
        /// The files, in their order.
        files: Vec<Announced>,
    },
    /// Only looks.
    Look,
    /// Reads a small file of the set.
    Read {
        /// Which.
        name: FileName,
    },
    /// Removes what was put there.
    Withdraw,
}

/// A file whose content follows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    /// Its name.
    pub(super) name: FileName,
    /// Whether it is a key.
    pub(super) secret: bool,
    /// How long its content is.
    pub(super) length: u32,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Reply {
    /// The set is in place.
    Delivered {
        /// How it got there.
        delivery: Delivery,
    },
    /// It is done; or, before any request: the helper is what it should be.
    Done,
    /// It failed, and what was there before stays.
    Failed(Told),
    /// The file that was asked for; its content follows, if there is one.
    Found {
        /// Its length.
        length: Option<u32>,
    },
}

/// An error as a helper tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    code: String,
    text: String,
    hint: String,
}

impl Told {
    /// Takes an error with its cause.
    pub(super) fn of(error: &impl Coded) -> Self {
        let text = match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self {
            code: error.code().word().to_owned(),
            text,
            hint: error.hint(),
        }
    }

    /// Returns the word of the code, as it was told.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Returns the text, as people may see it: the helper has the rights of another user, who may have changed what it says.
    pub(super) fn text(&self) -> String {
        shown(&self.text)
    }

    /// Returns the hint, as people may see it.
    pub(super) fn hint(&self) -> String {
        shown(&self.hint)
    }
}

/// Returns text without what moves a terminal, and no more of it than a message has.
fn shown(text: &str) -> String {
    const LONGEST: usize = 8 * 1024;
    text.chars()
        .take(LONGEST)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use platform::file_set::FileSetError;

    use super::*;

    #[test]
    fn what_a_helper_tells_moves_no_terminal_and_floods_no_log() {
        let told = Told::of(&FileSetError::Foreign {
            path: format!("/d/\u{1b}[2J{}", "x".repeat(100_000)).into(),
        });
        assert_eq!(told.code(), "config_invalid");
        assert!(!told.text().contains('\u{1b}') && told.text().chars().count() <= 8 * 1024);
        assert!(told.hint().contains("move it away"));
    }
}
