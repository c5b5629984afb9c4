//! What a partner said, safe to show.

use std::fmt::{self, Write as _};

/// A short piece of what an endpoint sent, safe to show in a terminal, a log and an answer: printable, on one line and cut off.
///
/// An error holds at most one of [`Said::LONGEST`] octets and one of [`Said::PLACE`], so that it repeats at most 200.
#[derive(Clone, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// The most octets that are kept of a text.
    pub const LONGEST: usize = 136;

    /// The most octets that are kept of the host that a partner redirected to.
    pub const PLACE: usize = 64;

    /// Takes a text.
    pub(super) fn of(text: impl fmt::Display) -> Self {
        Self::at_most(Self::LONGEST, text)
    }

    /// Takes the name of a host and its port.
    pub(super) fn place(text: impl fmt::Display) -> Self {
        Self::at_most(Self::PLACE, text)
    }

    /// Takes an error with its causes.
    pub(super) fn why(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::of(trust_domains::problem::with_causes(error))
    }

    fn at_most(limit: usize, text: impl fmt::Display) -> Self {
        let mut kept = Cut {
            kept: String::new(),
            room: limit - ELLIPSIS.len(),
        };
        // Stops the writer where there is no room, however much it would still write.
        match write!(kept, "{text}") {
            Ok(()) => Self(kept.kept),
            Err(fmt::Error) => Self(kept.kept + ELLIPSIS),
        }
    }
}

const ELLIPSIS: &str = "…";

/// Takes characters until there is no room.
struct Cut {
    kept: String,
    room: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().map(printable) {
            self.room = self.room.checked_sub(char.len_utf8()).ok_or(fmt::Error)?;
            self.kept.push(char);
        }
        Ok(())
    }
}

/// Replaces what could play with a terminal or with the order of a line: controls, and what is not ASCII (bidirectional marks among it).
fn printable(char: char) -> char {
    match char {
        ' '..='~' => char,
        _ => '?',
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_partner_said_is_short_and_cannot_play_with_a_terminal() {
        let hostile = "\u{1b}[2J\r\nok\u{202e}é".repeat(1_000);
        let shown = Said::of(&hostile).to_string();
        assert!(shown.len() <= Said::LONGEST && shown.starts_with("?[2J??ok??"), "{shown}");
        assert!(shown.trim_end_matches('…').chars().all(|char| (' '..='~').contains(&char)), "{shown}");
        assert!(Said::place(&hostile).to_string().len() <= Said::PLACE);
    }

    #[test]
    fn a_short_text_is_whole() {
        assert_eq!(Said::of("503 Service Unavailable").to_string(), "503 Service Unavailable");
        let limit = "x".repeat(Said::LONGEST - ELLIPSIS.len());
        assert_eq!(Said::of(&limit).to_string(), limit);
    }
}
