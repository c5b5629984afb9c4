//! `troth federation list --watch`: a line for each change, over restarts of the server too.

use serde_json::Value;
use tests::command::troth;
use tests::process::Process;
use tests::wait::until;

use super::{accepts, federated, has_fields, is_time, path_text, text_of};

fn lines(process: &Process) -> Vec<Value> {
    let log = process.log();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_watched_list_shows_what_there_is_and_then_each_change() {
    let (mut ours, partner, other) = (federated("watching.test"), federated("watched.test"), federated("second.test"));
    let _ = accepts(&ours, &partner);
    let data = ours.server_data();
    let mut command = troth();
    command.args(["--output", "json", "federation", "list", "--watch", "--data-dir", path_text(&data)]);
    let watch = Process::start(command, &ours.folder().join("watch.log"));
    let wait_for = |event: &str, partner: &str, status: Option<&str>| {
        until(&format!("{event} of {partner}"), || {
            let mut lines = lines(&watch).into_iter();
            lines.find(|line| line["event"] == event && line["trust_domain"] == partner && status.is_none_or(|status| line["status"] == status))
        })
    };
    let first = wait_for("changed", "watched.test", Some("current"));
    has_fields(
        &first,
        &["at", "url", "profile", "status", "last_success", "next_fetch", "last_error", "sequence"],
    );
    is_time(&first, "at");
    assert_eq!(text_of(&first, "profile"), "https_spiffe");

    let _ = accepts(&ours, &other);
    let _ = wait_for("changed", "second.test", Some("current"));
    let _ = ours.told(&["federation", "delete", "watched.test"]);
    let _ = wait_for("deleted", "watched.test", None);

    ours.server().terminate();
    ours.start_server();
    let _ = ours.told(&["federation", "delete", "second.test"]);
    let _ = wait_for("deleted", "second.test", None);
    let seen = lines(&watch).len();
    assert!(seen < 40, "{seen} lines for a handful of changes");
}
