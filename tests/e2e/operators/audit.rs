//! `troth audit`: the issuance journal as operators read it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::Value;
use tests::command::troth;
use tests::domain::{Domain, path_text};
use tests::wait::PATIENCE;

use super::{has_fields, is_time, text_of, typed};

fn records(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

#[test]
fn the_journal_is_shown_and_exported() {
    let domain = Domain::start("audit.test");
    let _agent = domain.agent("n1");
    let entry = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:1", "--wait"]);
    let all = records(&domain.operator(&["audit", "export"]).exits(0).stdout);
    for (index, record) in all.iter().enumerate() {
        assert_eq!(record["seq"], index + 1, "a gap");
        is_time(record, "at");
        assert_eq!(text_of(record, "hash").len(), 64);
    }
    let issued = all
        .iter()
        .find(|record| record["event"] == "issued" && record["spiffe_id"] == "spiffe://audit.test/job")
        .expect("the issuance");
    has_fields(issued, &["serial", "issuer", "not_after", "actor", "trace_id"]);
    assert_eq!(
        (&issued["entry"], &issued["node"]),
        (&entry["id"], &"spiffe://audit.test/troth/agent/join_token/n1".into())
    );
    let created = all
        .iter()
        .find(|record| record["event"] == "decided" && record["subject"] == entry["id"])
        .expect("the decision");
    assert_eq!(created["action"], "entry_created");
    let text = all.iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains("unix:uid:1"), "a selector's value is in the journal");

    let tail = records(&domain.operator(&["audit", "tail", "-n", "3"]).exits(0).stdout);
    assert_eq!(tail[..], all[all.len() - 3..]);
    let read = typed(&domain, &["audit", "tail"]).exits(0).stdout;
    assert!(read.contains("issued   spiffe://audit.test/job"), "{read}");

    let file = domain.folder().join("audit.jsonl");
    let exported = typed(&domain, &["audit", "export", "--to", path_text(&file), "--after", "2"]).exits(0);
    assert!(exported.stdout.is_empty());
    assert_eq!(records(&std::fs::read_to_string(&file).expect("the file"))[..], all[2..]);
    assert_eq!(
        typed(&domain, &["audit", "export", "--to", path_text(&file)]).code,
        1,
        "a file that is there was overwritten"
    );
}

#[test]
fn the_journal_is_followed() {
    let domain = Domain::start("follow.test");
    let _agent = domain.agent("n1");
    let mut command = troth();
    command.args([
        "--output",
        "json",
        "audit",
        "tail",
        "--follow",
        "-n",
        "1",
        "--data-dir",
        path_text(&domain.server_data()),
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("troth starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let (sender, lines) = channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let _ = lines.recv_timeout(PATIENCE).expect("the newest record");
    let entry = domain.told(&["entry", "create", "--spiffe-id", "/new", "--selector", "unix:uid:1"]);
    loop {
        let line = lines.recv_timeout(PATIENCE).expect("the new record");
        if records(&line)[0]["subject"] == entry["id"] {
            break;
        }
    }
    child.kill().expect("it runs");
    let _ = child.wait();
}
