//! The configuration files of `docs/operations.md`: accepted as they are, and with every key that there is.

use std::collections::BTreeSet;

use agent::config::RawAgentConfig;
use ca_server::config::RawServerConfig;
use tests::command::run;
use tests::docs::block;
use tests::domain::{open_directory, path_text};

/// What does not go together: what opens the store, what the first connection is believed by, and a link beside a certificate.
const LEFT_OUT: [[&str; 3]; 2] = [["key_file", "root_sha256", "join_file"], ["key_source", "trust_bundle", "join_file"]];

/// Returns a sample with what is commented out put in, but for these keys.
fn uncommented(sample: &str, left_out: &[&str]) -> String {
    let key = |line: &str| line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).map(|(key, _)| key.to_owned());
    let lines = sample.lines().filter(|line| key(line).is_none_or(|key| !left_out.contains(&key.as_str())));
    let lines = lines.map(|line| if key(line).is_some() { line.trim_start_matches("# ") } else { line });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// Returns the keys of a text, those of its tables left out.
fn keys(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect()
}

/// A sample is accepted as it is, and with everything that is commented out; together that is every key.
fn is_whole(file: &str, kind: &str, known: &BTreeSet<&str>) {
    let sample = block("operations.md", "toml", file);
    let folder = open_directory();
    let place = folder.path().join(file);
    let accepts = |text: &str| {
        std::fs::write(&place, text).expect("a file");
        let _ = run(&["config", "check", path_text(&place), "--kind", kind]).exits(0);
    };
    accepts(&sample);
    for left_out in LEFT_OUT {
        accepts(&uncommented(&sample, &left_out));
    }
    assert_eq!(keys(&uncommented(&sample, &[])), *known);
}

#[test]
fn the_sample_of_the_server_is_accepted_and_shows_every_key() {
    is_whole("server.toml", "server", &RawServerConfig::KNOWN_KEYS.iter().map(|key| key.name).collect());
}

#[test]
fn the_sample_of_the_agent_is_accepted_and_shows_every_key() {
    // Tables have pages of their own.
    let tables = ["sink", "broker"];
    let known = RawAgentConfig::KNOWN_KEYS.iter().map(|key| key.name);
    is_whole("agent.toml", "agent", &known.filter(|name| !tables.contains(name)).collect());
}
