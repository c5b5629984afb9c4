//! Pieces of what a token says, safe to show.

use std::fmt;

use serde_json::Value;

/// A short piece of what a token says, safe to show: a header parameter or one audience, never a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The most characters that are kept.
    const LONGEST: usize = 64;

    pub(crate) fn of(text: &str) -> Self {
        let mut kept: String = text.chars().take(Self::LONGEST).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        Self(kept)
    }

    /// Returns a text as it is; of another value only what kind it is.
    pub(crate) fn of_value(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::of(text),
            Value::Null => Self::of("null"),
            Value::Bool(_) => Self::of("a boolean"),
            Value::Number(_) => Self::of("a number"),
            Value::Array(_) => Self::of("an array"),
            Value::Object(_) => Self::of("an object"),
        }
    }
}

impl fmt::Display for Excerpt {
    /// Writes it in quotes, with what could play with a terminal escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_says_is_shown_short_and_cannot_play_with_a_terminal() {
        let long = "\u{1b}[2J\n".repeat(100);
        let shown = Excerpt::of(&long).to_string();
        assert!(shown.len() < 700 && shown.chars().all(|char| !char.is_control()), "{shown}");
        assert_eq!(Excerpt::of("k1").to_string(), "\"k1\"");
    }
}
