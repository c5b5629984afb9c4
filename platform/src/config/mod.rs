//! Configuration files: every mistake at once, each with its line and key.
//!
//! A file is checked twice: against the table of known keys here, for names and values one by one; then by whoever makes a valid configuration of
//! it, for what fits together, with [`Mistakes`] as the collector.

mod draft;
mod known;
mod lines;
mod mistakes;
mod number;
mod read;

pub use draft::Draft;
pub use known::{KeyValue, KnownKey, as_text, nearest};
pub use lines::KeyLines;
pub use mistakes::{ConfigMistakes, Mistake, Mistakes, TableMistakes};
pub use number::number_as_text;
pub use read::{read_draft, read_draft_text, read_toml, read_toml_if_present, read_toml_text};

/// Returns the value that counts: that of the flag or environment variable, else the file's, else the default.
pub fn pick<T>(flag: Option<T>, file: Option<T>, default: impl FnOnce() -> T) -> T {
    flag.or(file).unwrap_or_else(default)
}
