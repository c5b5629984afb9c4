//! Files, right and wrong.

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
