//! The keys that a configuration file may have.

use std::fmt::Display;
use std::str::FromStr;

/// How far a key may be from a known one to be taken for a slip (Jaro-Winkler, 1 is equal).
const SLIP: f64 = 0.75;

/// A key and what its value may be.
#[derive(Debug, Clone, Copy)]
pub struct KnownKey {
    /// The key.
    pub name: &'static str,
    /// Its value.
    pub value: KeyValue,
    /// Whether its table must have it.
    pub is_required: bool,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum KeyValue {
    /// `true` or `false`.
    Bool,
    /// A whole number between two bounds.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A number that a function accepts as a text: bare, or in quotes as flags and variables have it. [`number_as_text`](super::number_as_text) reads both.
    Number(fn(&str) -> Result<(), String>),
    /// A text that a function accepts, where a list of them is refused with this reason.
    One(fn(&str) -> Result<(), String>, &'static str),
    /// A table with keys of its own.
    Table(&'static [KnownKey]),
    /// Any number of such tables: `[[sink]]`.
    Tables(&'static [KnownKey]),
    /// A text that a function accepts; its error says why not. [`as_text`] makes one of any type that parses.
    Text(fn(&str) -> Result<(), String>),
    /// A list of such texts.
    Texts(fn(&str) -> Result<(), String>),
}

impl KnownKey {
    /// Returns a key whose value is a text that parses as `T`: a duration, an address, a trust domain.
    #[must_use]
    pub const fn text<T: FromStr<Err: Display>>(name: &'static str) -> Self {
        Self {
            name,
            value: KeyValue::Text(as_text::<T>),
            is_required: false,
        }
    }

    /// Returns a key with another kind of value.
    #[must_use]
    pub const fn new(name: &'static str, value: KeyValue) -> Self {
        Self {
            name,
            value,
            is_required: false,
        }
    }

    /// Returns this key as one that its table must have. The type that is read has a default for it, so that other mistakes are told beside.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

/// Accepts a text that parses as `T`.
///
/// # Errors
/// What `T` says about it.
pub fn as_text<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

/// Returns the word that is meant, if one is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), candidate);
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= SLIP)
        .max_by(|(one, _), (two, _)| one.total_cmp(two))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let known = ["data_dir", "key_file", "listen", "telemetry_listen", "node_ttl"];
        for (slip, meant) in [
            ("datadir", Some("data_dir")),
            ("data-dir", Some("data_dir")),
            ("LISTEN", Some("listen")),
            ("lsiten", Some("listen")),
            ("telemetry", Some("telemetry_listen")),
            ("node_tll", Some("node_ttl")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, known), meant, "{slip}");
        }
    }
}
