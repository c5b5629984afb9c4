//! `troth quickstart` as a person types it first.

use std::process::Command;

use serde_json::Value;
use tests::command::{Run, troth, troth_path};
use tests::domain::{open_directory, path_text};

fn quickstart(home: &std::path::Path, arguments: &[&str]) -> Run {
    let output = troth().arg("quickstart").args(arguments).env("HOME", home).current_dir(home).output();
    Run::of(&output.expect("troth starts"))
}

#[test]
fn it_shows_a_verified_rotation_goes_on_and_is_removed() {
    let home = open_directory();
    let first = quickstart(home.path(), &["--rotations", "1"]).exits(0);
    assert!(first.stdout.contains("rotation 1 verified: spiffe://quickstart.test/demo"), "{first:?}");
    assert!(first.stderr.contains("troth quickstart --remove"), "{first:?}");
    let left: Vec<_> = std::fs::read_dir(home.path())
        .expect("the home")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, [".local"], "it wrote beside its own directory");

    // The same trust domain goes on.
    let second = quickstart(home.path(), &["--rotations", "1", "--trust-domain", "other.test"]).exits(0);
    assert!(second.stdout.contains("going on with quickstart.test"), "{second:?}");

    let environment = quickstart(home.path(), &["--env"]).exits(0).stdout;
    let shell = Command::new("sh")
        .arg("-c")
        .arg(format!("{environment}\ncommand -v troth; echo $SPIFFE_ENDPOINT_SOCKET"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output();
    let told = String::from_utf8(shell.expect("a shell").stdout).expect("text");
    assert!(told.starts_with(path_text(&troth_path())), "{told}");
    assert!(told.contains("unix:///"), "{told}");

    let _ = quickstart(home.path(), &["--remove"]).exits(0);
    assert!(!home.path().join(".local/state/troth/quickstart").exists());
}

/// The calls of a federated run: who called whom, and whether it was accepted.
fn calls(run: &Run) -> Vec<(String, String, bool)> {
    let events = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON Lines"));
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    events
        .filter(|event| event["event"] == "called")
        .map(|event| (text(&event, "caller"), text(&event, "service"), event["accepted"] == true))
        .collect()
}

#[test]
fn two_trust_domains_federate_and_their_workloads_call_each_other() {
    let home = open_directory();
    let first = quickstart(home.path(), &["--federated", "--rotations", "1", "--output", "json"]).exits(0);
    let (ours, theirs) = ("spiffe://quickstart.test/demo", "spiffe://partner.quickstart.test/demo");
    let both = |accepted: bool| [(ours, theirs, accepted), (theirs, ours, accepted)].map(|(one, other, accepted)| (one.to_owned(), other.to_owned(), accepted));
    // No trust, trust in one direction, trust in both, and after a rotation.
    let expected = [both(false), both(false), both(true), both(true)].concat();
    assert_eq!(calls(&first), expected, "{first:?}");
    assert!(first.stderr.contains("quickstart/partner --env"), "{first:?}");

    // Again in the same directory, where they federate already.
    let second = quickstart(home.path(), &["--federated", "--rotations", "1"]).exits(0);
    assert!(second.stdout.contains("going on with partner.quickstart.test"), "{second:?}");
    assert!(second.stdout.contains(&format!("mutual TLS: {theirs} -> {ours}")), "{second:?}");
    // And the first alone: a partner that is away takes nothing from it.
    let alone = quickstart(home.path(), &["--rotations", "1"]).exits(0);
    assert!(alone.stdout.contains(&format!("rotation 1 verified: {ours}")), "{alone:?}");

    let environment = quickstart(home.path(), &["--env"]).exits(0).stdout;
    assert!(environment.contains("quickstart/partner'"), "{environment}");
    let _ = quickstart(home.path(), &["--remove"]).exits(0);
    assert!(!home.path().join(".local/state/troth/quickstart").exists());
}
