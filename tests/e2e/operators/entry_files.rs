//! `troth entry apply`, and `entry create --file` of what `entry list` prints.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tests::command::{Run, troth};
use tests::domain::{Domain, path_text};

use super::{has_fields, items, text_of, typed};

fn write(domain: &Domain, document: &Value) -> String {
    let file = domain.folder().join("entries.json");
    std::fs::write(&file, document.to_string()).expect("the file");
    path_text(&file).to_owned()
}

fn paths(domain: &Domain) -> Vec<String> {
    let mut paths: Vec<String> = items(&domain.told(&["entry", "list"]))
        .iter()
        .map(|entry| text_of(entry, "spiffe_id").replace("spiffe://apply.test", ""))
        .collect();
    paths.sort();
    paths
}

/// The steps of an outcome as `action id`, sorted.
fn steps(outcome: &Value) -> Vec<String> {
    has_fields(outcome, &["steps", "unchanged", "applied", "revision"]);
    let step = |step: &Value| format!("{} {}", text_of(step, "action"), text_of(step, "spiffe_id").replace("spiffe://apply.test", ""));
    let mut steps: Vec<String> = outcome["steps"].as_array().expect("steps").iter().map(step).collect();
    steps.sort();
    steps
}

#[test]
fn apply_makes_a_file_true_and_says_first_what_it_will_do() {
    let domain = Domain::start("apply.test");
    let _agent = domain.agent("n1");
    let entry = |path: &str, hint: &str| json!({"spiffe_id": path, "selectors": ["unix:uid:1"], "hint": hint});
    let file = write(&domain, &json!([entry("/a", "one"), entry("/b", "one")]));

    let planned = domain.told(&["entry", "apply", &file, "--dry-run"]);
    assert_eq!(steps(&planned), ["create /a", "create /b"]);
    assert_eq!(planned["applied"], false);
    assert!(paths(&domain).is_empty(), "a dry run wrote");

    let done = domain.told(&["entry", "apply", &file, "--wait"]);
    assert_eq!((steps(&done).len(), &done["applied"]), (2, &json!(true)));
    assert_eq!(paths(&domain), ["/a", "/b"]);
    let again = domain.told(&["entry", "apply", &file]);
    assert_eq!((steps(&again).len(), &again["unchanged"]), (0, &json!(2)));

    // One changes, one is new, one is no longer in the file.
    let file = write(&domain, &json!({"items": [entry("/a", "two"), entry("/c", "one")]}));
    let kept = typed(&domain, &["entry", "apply", &file]).exits(0);
    for line in ["~ spiffe://apply.test/a", "+ spiffe://apply.test/c", "hint"] {
        assert!(kept.stderr.contains(line), "the plan does not say {line:?}: {kept:?}");
    }
    assert_eq!(paths(&domain), ["/a", "/b", "/c"]);
    let pruned = domain.told(&["entry", "apply", &file, "--prune", "--dry-run"]);
    assert_eq!(steps(&pruned), ["delete /b"]);
    let pruned = domain.told(&["entry", "apply", &file, "--prune"]);
    assert_eq!((steps(&pruned), &pruned["unchanged"]), (vec!["delete /b".to_owned()], &json!(2)));
    assert_eq!(paths(&domain), ["/a", "/c"]);
}

#[test]
fn what_entry_list_prints_makes_the_same_entries_again() {
    let domain = Domain::start("round.test");
    let _agents = ["n1", "n2"].map(|node| domain.agent(node));
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/plain", "--parent", "n1", "--selector", "unix:uid:1"]);
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/full",
        "--parent",
        "n2",
        "--selector",
        "unix:gid:3",
        "--selector",
        "unix:uid:2",
        "--class",
        "slow",
        "--x509-ttl",
        "12h",
        "--jwt-ttl",
        "2m",
        "--hint",
        "with \"quotes\"",
        "--expires-at",
        "2036-01-01T00:00:00Z",
    ]);
    let listed = domain.told(&["entry", "list"]);
    let file = write(&domain, &listed);
    let same = domain.told(&["entry", "create", "--file", &file]);
    assert!(items(&same).iter().all(|entry| entry["result"] == "unchanged"), "{same}");

    for entry in items(&listed) {
        let _ = domain.told(&["entry", "delete", text_of(entry, "id")]);
    }
    let made = domain.told(&["entry", "create", "--file", &file]);
    assert!(items(&made).iter().all(|entry| entry["result"] == "created"), "{made}");
    let without_names = |list: &Value| -> Vec<Value> {
        let mut entries = items(list).clone();
        for entry in &mut entries {
            let object = entry.as_object_mut().expect("an entry");
            for of_the_store in ["id", "revision", "created_at"] {
                let _ = object.remove(of_the_store);
            }
        }
        entries.sort_by_key(|entry| text_of(entry, "spiffe_id").to_owned());
        entries
    };
    assert_eq!(without_names(&domain.told(&["entry", "list"])), without_names(&listed));
    let text = typed(&domain, &["entry", "create", "--file", &file]).exits(0);
    assert!(text.stdout.contains("0 created, 2 unchanged"), "{text:?}");
}

#[test]
fn entries_are_read_from_standard_input() {
    let domain = Domain::start("stdin.test");
    let _agent = domain.agent("n1");
    let give = |arguments: &[&str], text: &str| {
        let mut command = troth();
        let mut child = command
            .args(["--output", "json"])
            .args(arguments)
            .args(["--data-dir", path_text(&domain.server_data())]);
        child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("troth starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        Run::of(&child.wait_with_output().expect("its end"))
    };
    let one = json!({"spiffe_id": "/one", "selectors": ["unix:uid:1"]}).to_string();
    assert_eq!(items(&give(&["entry", "create", "--file", "-"], &one).exits(0).json()).len(), 1);
    assert_eq!(give(&["entry", "apply", "-"], &format!("[{one}]")).exits(0).json()["unchanged"], 1);
    assert_eq!(give(&["entry", "apply", "-"], "not JSON").exits(2).problem(), "usage");
}
