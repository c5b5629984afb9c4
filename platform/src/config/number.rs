//! Numbers that are texts elsewhere: a flag and a variable have no other form.

use serde::{Deserialize, Deserializer};

/// Reads a number, bare or in quotes, as the text that a flag would have.
///
/// # Errors
/// It is neither a text nor a whole number.
pub fn number_as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    Ok(Some(match Either::deserialize(deserializer)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    }))
}
