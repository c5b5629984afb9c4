//! Tables of sinks, right and wrong.

use std::time::Duration;

use platform::config::{ConfigMistakes, Mistakes};
use platform::file_set::Layout;
use trust_domains::delivery::Format;

use super::*;
use crate::config::RawAgentConfig;

fn of_toml(rest: &str) -> Result<SinkConfig, ConfigMistakes> {
    let text = format!("[[sink]]\nspiffe_id = '/web'\ndirectory = '/etc/web'\n{rest}\n");
    let raw: RawAgentConfig = toml::from_str(&text).unwrap();
    let mut mistakes = Mistakes::new();
    let sink = read(&mut mistakes.within("sink[0]"), &raw.sink[0]);
    mistakes.finish(None, sink)
}

#[test]
fn a_table_says_what_the_files_hold_and_how_they_lie() {
    let whole = "formats = ['pkcs12', 'jks', 'pkcs12']\ntrust_domain = 'partner.test'\nlayout = 'single-files'\nkeystore_password_file = '/etc/web/password'\n\
                 [[sink.jwt]]\nname = 'vault'\naudiences = ['vault.example']\n";
    let sink = of_toml(whole).unwrap();
    assert_eq!(sink.layout, Layout::SingleFiles);
    assert_eq!(sink.contents.formats, [Format::Pkcs12, Format::Jks]);
    assert_eq!(sink.contents.trust_domain.unwrap().as_str(), "partner.test");
    assert_eq!((sink.contents.tokens.len(), sink.contents.keystore_password_file.is_some()), (1, true));

    let plain = of_toml("").unwrap();
    assert_eq!(
        (plain.contents, plain.layout, plain.crl_reload_interval),
        (SinkContents::default(), Layout::Linked, Duration::from_secs(60))
    );
    let tokens_alone = of_toml("formats = []\n[[sink.jwt]]\nname = 'a'\naudiences = ['x']\n").unwrap();
    assert!(tokens_alone.contents.formats.is_empty());
}

#[test]
fn what_cannot_be_delivered_is_refused_under_its_key() {
    let table = [
        ("formats = []", "formats", "delivers nothing"),
        ("formats = ['pem', 'p12']", "formats[1]", "no format"),
        ("layout = 'files'", "layout", "neither linked"),
        ("trust_domain = 'a.test,b.test'", "trust_domain", "[[sink]] of its own"),
        ("keystore_password_file = '/p'", "keystore_password_file", "of no use"),
        ("formats = ['jks']\nkeystore_password_file = 'p'", "keystore_password_file", "absolute"),
        ("crl_reload_interval = '0s'", "crl_reload_interval", "not between 1s and"),
        ("[[sink.jwt]]\nname = 'a/b'\naudiences = ['x']", "jwt[0].name", "no name for a token"),
        ("[[sink.jwt]]\nname = 'a'\naudiences = []", "jwt[0].audiences", "audience"),
        (
            "[[sink.jwt]]\nname = 'a'\naudiences = ['x']\n[[sink.jwt]]\nname = 'a'\naudiences = ['y']",
            "jwt[1].name",
            "two tokens",
        ),
    ];
    for (rest, key, expected) in table {
        let told = of_toml(rest).unwrap_err();
        assert_eq!(
            (told.mistakes.len(), told.mistakes[0].key.as_str()),
            (1, format!("sink[0].{key}").as_str()),
            "{rest}: {told}"
        );
        assert!(told.to_string().contains(expected), "{rest}: {told}");
    }
}

#[test]
fn a_sink_is_of_somebody_and_has_a_directory_of_its_own() {
    for (id, directory, key) in [
        ("spiffe://td.example", "/etc/web", "spiffe_id"),
        ("/web", "/", "directory"),
        ("/web", "//", "directory"),
        ("/web", "/etc/../web", "directory"),
        ("/web", "/etc/web/..", "directory"),
        ("/web", "etc/web", "directory"),
    ] {
        let table = RawSink {
            spiffe_id: id.to_owned(),
            directory: directory.to_owned(),
            ..RawSink::default()
        };
        let mut mistakes = Mistakes::new();
        let sink = read(&mut mistakes.within("sink[0]"), &table);
        let told = mistakes.finish(None, sink).unwrap_err();
        assert_eq!(told.mistakes.len(), 1, "{told}");
        assert_eq!(told.mistakes[0].key, format!("sink[0].{key}"), "{told}");
    }
}

#[test]
fn every_mistake_of_a_table_is_told_at_once() {
    let told = of_toml("mode = '0777'\nlayout = 'x'\non_withdraw = 'x'\nformats = ['x', 'y']\n[[sink.jwt]]\nname = ''\naudiences = []").unwrap_err();
    assert_eq!(told.mistakes.len(), 7, "{told}");
}
