//! Reading a TOML file against the table of its keys.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use trust_domains::problem::with_causes;

use super::draft::Draft;
use super::known::{KeyValue, KnownKey, nearest};
use super::lines::{KeyLines, LineEnds};
use super::mistakes::{ConfigMistakes, Mistakes};
use crate::files::{FileError, read_limited};

/// The longest configuration file: thousands of sinks.
const LONGEST_FILE: usize = 1024 * 1024;

/// The most mistakes that are told: a binary file would have thousands.
const MOST_MISTAKES: usize = 50;

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigMistakes`] with every mistake: syntax, unknown keys with the nearest known one, and values that are not acceptable.
pub fn read_toml<T: DeserializeOwned>(path: &Path, known: &[KnownKey]) -> Result<T, ConfigMistakes> {
    match read_toml_if_present(path, known)? {
        Some(value) => Ok(value),
        None => Err(of_file(path, "there is no such file")),
    }
}

/// Reads a configuration file that need not be there, as the one in the default place.
///
/// # Errors
/// [`ConfigMistakes`].
pub fn read_toml_if_present<T: DeserializeOwned>(path: &Path, known: &[KnownKey]) -> Result<Option<T>, ConfigMistakes> {
    let Some(text) = text_of(path)? else { return Ok(None) };
    read_toml_text(&text, known).map(Some).map_err(|mistakes| ConfigMistakes {
        file: Some(path.to_owned()),
        ..mistakes
    })
}

/// Reads a configuration file as far as it can be understood, for a check of the whole that shall tell its mistakes beside those of the file.
///
/// # Errors
/// [`ConfigMistakes`]: there is no such file, or too little of it is understood to check the rest.
pub fn read_draft<T: DeserializeOwned>(path: &Path, known: &[KnownKey]) -> Result<Draft<T>, ConfigMistakes> {
    let text = text_of(path)?.ok_or_else(|| of_file(path, "there is no such file"))?;
    draft(&text, known, Some(path))
}

/// Reads the text of a configuration file as [`read_draft`] reads a file.
///
/// # Errors
/// [`ConfigMistakes`]: too little of it is understood to check the rest.
pub fn read_draft_text<T: DeserializeOwned>(text: &str, known: &[KnownKey]) -> Result<Draft<T>, ConfigMistakes> {
    draft(text, known, None)
}

fn text_of(path: &Path) -> Result<Option<String>, ConfigMistakes> {
    let octets = match read_limited(path, LONGEST_FILE) {
        Ok(octets) => octets,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error @ FileError::TooLong { .. }) => return Err(of_file(path, &error.to_string())),
        Err(error) => return Err(of_file(path, &with_causes(&error))),
    };
    let text = String::from_utf8(octets).map_err(|_| of_file(path, "the file is not text (UTF-8)"))?;
    Ok(Some(text))
}

/// Reads the text of a configuration file.
///
/// # Errors
/// [`ConfigMistakes`].
pub fn read_toml_text<T: DeserializeOwned>(text: &str, known: &[KnownKey]) -> Result<T, ConfigMistakes> {
    draft(text, known, None)?.finish(Ok)
}

fn draft<T: DeserializeOwned>(text: &str, known: &[KnownKey], file: Option<&Path>) -> Result<Draft<T>, ConfigMistakes> {
    let mut reader = Reader {
        ends: LineEnds::of(text),
        lines: KeyLines::none(),
        mistakes: Mistakes::new(),
        told: 0,
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.tell(at, "", error.message());
    }
    reader.check_table(document.get_ref(), known, "", 0);
    if reader.mistakes.is_empty() {
        return match toml::from_str(text) {
            Ok(value) => Ok(Draft::new(value, file, reader.lines, None)),
            Err(error) => {
                // The table above missed what the type wants: a value that only together with others is wrong.
                reader.tell(error.span().map_or(0, |span| span.start), "", error.message());
                reader.mistakes.finish(file, None)
            }
        };
    }
    // Without the keys that nobody knows the rest may still be understood. A value of a wrong kind leaves nothing to go on with.
    let understood = toml::from_str::<Table>(text).ok().and_then(|mut table| {
        keep_known(&mut table, known);
        table.try_into().ok()
    });
    let told = reader.mistakes.finish::<()>(file, None);
    match (understood, told) {
        (Some(value), told) => Ok(Draft::new(value, file, reader.lines, told.err())),
        (None, Err(told)) => Err(told),
        (None, Ok(())) => Err(ConfigMistakes {
            file: file.map(Path::to_owned),
            mistakes: Vec::new(),
        }),
    }
}

fn keep_known(table: &mut Table, known: &[KnownKey]) {
    table.retain(|name, value| {
        let Some(known) = known.iter().find(|known| known.name == name) else {
            return false;
        };
        match (&known.value, value) {
            (KeyValue::Table(known), Value::Table(table)) => keep_known(table, known),
            (KeyValue::Tables(known), Value::Array(tables)) => tables.iter_mut().filter_map(Value::as_table_mut).for_each(|table| keep_known(table, known)),
            _ => {}
        }
        true
    });
}

struct Reader {
    ends: LineEnds,
    lines: KeyLines,
    mistakes: Mistakes,
    told: usize,
}

impl Reader {
    fn check_table(&mut self, table: &DeTable<'_>, known: &[KnownKey], prefix: &str, at: usize) {
        let has = |name: &str| table.keys().any(|key| key.get_ref().as_ref() == name);
        for missing in known.iter().filter(|known| known.is_required && !has(known.name)) {
            self.tell(at, &format!("{prefix}{}", missing.name), "is missing");
        }
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match known.iter().find(|known| known.name == name.get_ref().as_ref()) {
                Some(known) => {
                    // What has several tables is none of them: a flag adds to them.
                    if !matches!(known.value, KeyValue::Tables(_)) {
                        self.note(&key, name.span().start);
                    }
                    self.check_value(&key, value, &known.value);
                }
                None => self.tell(name.span().start, &key, &not_known(name.get_ref(), known)),
            }
        }
    }

    fn check_value(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &KeyValue) {
        let at = value.span().start;
        match (expected, value.get_ref()) {
            (KeyValue::Bool, DeValue::Boolean(_)) => {}
            (KeyValue::Integer { least, most }, DeValue::Integer(integer)) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix());
                if !number.is_ok_and(|number| (*least..=*most).contains(&number)) {
                    self.tell(at, key, &format!("the number is not between {least} and {most}"));
                }
            }
            (KeyValue::Number(accepts), DeValue::String(text)) => self.check_text(at, key, text, *accepts),
            (KeyValue::Number(accepts), DeValue::Integer(integer)) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix()).map(|number| number.to_string());
                self.check_text(at, key, number.as_deref().unwrap_or(integer.as_str()), *accepts);
            }
            (KeyValue::Table(known), DeValue::Table(table)) => self.check_table(table, known, &format!("{key}."), at),
            (KeyValue::Tables(known), DeValue::Array(tables)) => {
                for (index, table) in tables.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    self.note(&key, table.span().start);
                    self.check_value(&key, table, &KeyValue::Table(known));
                }
            }
            (KeyValue::Text(accepts) | KeyValue::One(accepts, _), DeValue::String(text)) => self.check_text(at, key, text, *accepts),
            (KeyValue::One(_, reason), DeValue::Array(_)) => self.tell(at, key, reason),
            (KeyValue::Texts(accepts), DeValue::Array(texts)) => {
                for (index, text) in texts.iter().enumerate() {
                    self.check_value(&format!("{key}[{index}]"), text, &KeyValue::Text(*accepts));
                }
            }
            (expected, found) => self.tell(at, key, &format!("expected {}, found {}", described(expected), article(found.type_str()))),
        }
    }

    fn check_text(&mut self, at: usize, key: &str, text: &str, accepts: fn(&str) -> Result<(), String>) {
        if let Err(reason) = accepts(text) {
            self.tell(at, key, &reason);
        }
    }

    fn tell(&mut self, at: usize, key: &str, text: &str) {
        self.told += 1;
        if self.told <= MOST_MISTAKES {
            self.mistakes.add_at(self.ends.line_at(at), key, text);
        }
    }

    fn note(&mut self, key: &str, at: usize) {
        self.lines.note(key, self.ends.line_at(at));
    }
}

fn not_known(name: &str, known: &[KnownKey]) -> String {
    match nearest(name, known.iter().map(|known| known.name)) {
        Some(meant) => format!("is not known; did you mean {meant}?"),
        None => format!(
            "is not known; known are {}",
            known.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn described(expected: &KeyValue) -> &'static str {
    match expected {
        KeyValue::Bool => "true or false",
        KeyValue::Integer { .. } | KeyValue::Number(_) => "a whole number",
        KeyValue::Table(_) => "a table",
        KeyValue::Tables(_) => "tables ([[..]])",
        KeyValue::One(..) | KeyValue::Text(_) => "a text in quotes",
        KeyValue::Texts(_) => "a list of texts",
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        format!("an {kind}")
    } else {
        format!("a {kind}")
    }
}

fn of_file(path: &Path, text: &str) -> ConfigMistakes {
    let mut mistakes = Mistakes::new();
    mistakes.add("", text);
    ConfigMistakes {
        file: Some(path.to_owned()),
        ..mistakes.finish::<()>(None, None).err().unwrap_or(ConfigMistakes {
            file: None,
            mistakes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
