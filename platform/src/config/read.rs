//! Reading a TOML file against the table of its keys.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use trust_domains::problem::with_causes;

use super::draft::Draft;
use super::known::{KeyValue, KnownKey, nearest};
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
        text,
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
            Ok(value) => Ok(Draft::new(value, file, None)),
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
        (Some(value), told) => Ok(Draft::new(value, file, told.err())),
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

struct Reader<'a> {
    text: &'a str,
    mistakes: Mistakes,
    told: usize,
}

impl Reader<'_> {
    fn check_table(&mut self, table: &DeTable<'_>, known: &[KnownKey], prefix: &str, at: usize) {
        let has = |name: &str| table.keys().any(|key| key.get_ref().as_ref() == name);
        for missing in known.iter().filter(|known| known.is_required && !has(known.name)) {
            self.tell(at, &format!("{prefix}{}", missing.name), "is missing");
        }
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match known.iter().find(|known| known.name == name.get_ref().as_ref()) {
                Some(known) => self.check_value(&key, value, &known.value),
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
                    self.check_value(&format!("{key}[{index}]"), table, &KeyValue::Table(known));
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
            let line = self.text.bytes().take(at).filter(|octet| *octet == b'\n').count() + 1;
            self.mistakes.add_at(line, key, text);
        }
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use trust_domains::duration::TextDuration;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        data_dir: Option<String>,
        node_ttl: Option<TextDuration>,
        streams: Option<u32>,
        cache: Option<bool>,
        #[serde(default, deserialize_with = "crate::config::number_as_text")]
        bytes: Option<String>,
        enable: Option<Vec<String>>,
        #[serde(default)]
        sink: Vec<RawSink>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct RawSink {
        spiffe_id: String,
        directory: String,
    }

    const SINK: &[KnownKey] = &[
        KnownKey::text::<String>("spiffe_id").required(),
        KnownKey::text::<String>("directory").required(),
    ];

    const KNOWN: &[KnownKey] = &[
        KnownKey::text::<String>("data_dir"),
        KnownKey::text::<TextDuration>("node_ttl"),
        KnownKey::new("streams", KeyValue::Integer { least: 1, most: 10_000 }),
        KnownKey::new("cache", KeyValue::Bool),
        KnownKey::new("bytes", KeyValue::Number(as_bytes)),
        KnownKey::new("enable", KeyValue::Texts(as_word)),
        KnownKey::new("sink", KeyValue::Tables(SINK)),
    ];

    fn as_word(text: &str) -> Result<(), String> {
        if text == "wit" {
            Ok(())
        } else {
            Err(format!("{text:?} is not known; known is wit"))
        }
    }

    fn as_bytes(text: &str) -> Result<(), String> {
        match text.parse::<u32>() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{text:?}: {error}")),
        }
    }

    #[test]
    fn a_number_that_a_flag_has_as_a_text_is_read_bare_and_in_quotes() {
        for text in ["bytes = 4096", "bytes = '4096'", "bytes = 0x1000", "bytes = 4_096"] {
            let raw: Raw = read_toml_text(text, KNOWN).unwrap();
            assert_eq!(raw.bytes.as_deref(), Some("4096"), "{text}");
        }
        assert_eq!(mistakes("bytes = true"), ["line 1: bytes: expected a whole number, found a boolean"]);
        assert!(mistakes("bytes = -1")[0].starts_with("line 1: bytes: \"-1\""));
        assert!(mistakes("bytes = 'many'")[0].starts_with("line 1: bytes: \"many\""));
    }

    fn mistakes(text: &str) -> Vec<String> {
        read_toml_text::<Raw>(text, KNOWN)
            .unwrap_err()
            .mistakes
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_good_file_is_read() {
        let raw: Raw = read_toml_text(
            "data_dir = '/d'\nnode_ttl = '24h'\nstreams = 0x10\ncache = true\nenable = ['wit']\n[[sink]]\nspiffe_id = '/web'\ndirectory = '/x'\n",
            KNOWN,
        )
        .unwrap();
        assert_eq!((raw.data_dir.as_deref(), raw.streams, raw.sink.len()), (Some("/d"), Some(16), 1));
        read_toml_text::<Raw>("", KNOWN).unwrap();
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line_and_the_nearest_key() {
        let text =
            "datadir = '/d'\nnode_ttl = '3600'\nstreams = 0\ncache = 'yes'\nenable = ['wit', 'tiw']\nzebra = 1\n\n[[sink]]\nspiffe_id = 7\ndirectroy = '/x'\n";
        let told = mistakes(text);
        assert_eq!(told.len(), 9, "{told:#?}");
        for expected in [
            "line 1: datadir: is not known; did you mean data_dir?",
            "line 3: streams: the number is not between 1 and 10000",
            "line 4: cache: expected true or false, found a string",
            "line 5: enable[1]: \"tiw\" is not known; known is wit",
            "line 6: zebra: is not known; known are data_dir, node_ttl, streams, cache, bytes, enable, sink",
            "line 9: sink[0].spiffe_id: expected a text in quotes, found an integer",
            "line 8: sink[0].directory: is missing",
            "line 10: sink[0].directroy: is not known; did you mean directory?",
        ] {
            assert!(told.iter().any(|mistake| mistake == expected), "{expected}: {told:#?}");
        }
        assert!(told.iter().any(|mistake| mistake.starts_with("line 2: node_ttl: ")), "{told:#?}");
    }

    #[test]
    fn syntax_mistakes_are_told_together_with_the_others() {
        let told = mistakes("data_dir = \nnode_tll = '24h'\n");
        assert!(told.iter().any(|mistake| mistake.starts_with("line 1: ")), "{told:#?}");
        assert!(
            told.iter().any(|mistake| mistake == "line 2: node_tll: is not known; did you mean node_ttl?"),
            "{told:#?}"
        );
    }

    #[test]
    fn a_key_that_is_missing_hides_no_other_mistake() {
        let told = mistakes("streams = 0\n[[sink]]\nspiffe_id = '/web'\n");
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(told.contains(&"line 2: sink[0].directory: is missing".to_owned()), "{told:#?}");
    }

    #[test]
    fn a_file_with_unknown_keys_and_wrong_values_is_still_understood() {
        let text = "datadir = '/d'\nnode_ttl = '24h'\nstreams = 0\n[[sink]]\ncolour = 'red'\n";
        let seen = |raw: Raw| {
            assert_eq!((raw.streams, raw.sink.len()), (Some(0), 1));
            let mut mistakes = Mistakes::new();
            mistakes.add("cache", "is needed");
            mistakes.finish(None, None::<()>)
        };
        let told = read_draft_text::<Raw>(text, KNOWN).unwrap().finish(seen).unwrap_err().to_string();
        for expected in ["datadir", "streams", "sink[0].colour", "sink[0].spiffe_id: is missing", "cache: is needed"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        read_draft_text::<Raw>("streams = 'many'\n", KNOWN).unwrap_err();
    }

    #[test]
    fn files_that_are_missing_binary_or_endless_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        assert_eq!(read_toml_if_present::<Raw>(&path, KNOWN).unwrap(), None);
        assert!(read_toml::<Raw>(&path, KNOWN).unwrap_err().to_string().ends_with("there is no such file"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(
            read_toml::<Raw>(&path, KNOWN)
                .unwrap_err()
                .to_string()
                .ends_with("the file is not text (UTF-8)")
        );
        assert!(read_toml::<Raw>(Path::new("/dev/zero"), KNOWN).unwrap_err().to_string().contains("longer than"));
        assert!(read_toml::<Raw>(dir.path(), KNOWN).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_mistakes_are_bounded(text in "[a-z_=\\[\\]{}'\"\n #.0-9\\\\é]{0,200}") {
            if let Err(mistakes) = read_toml_text::<Raw>(&text, KNOWN) {
                prop_assert!((1..=MOST_MISTAKES).contains(&mistakes.mistakes.len()));
            }
        }
    }
}
