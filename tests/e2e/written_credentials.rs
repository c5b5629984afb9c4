//! What `--write` leaves in its directory, and what it says where it cannot.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tests::command::{Run, run};
use tests::domain::{Agent, Domain, path_text};

/// A node with every profile on, where whoever runs these tests has three identities.
fn node_with_three(name: &str) -> (Domain, Agent) {
    let domain = Domain::start_with(name, &["--enable", "wit"]);
    let agent = domain.agent_with("n1", &["--enable", "wit"]);
    for path in ["/c1", "/c2", "/c3"] {
        domain.fast_entry("n1", path, nix::unistd::getuid().as_raw(), "60s");
    }
    (domain, agent)
}

fn written(agent: &Agent, what: &[&str], folder: &Path) -> Run {
    let fetch = ["--output", "json", "svid", "fetch"];
    let place = ["--socket", path_text(&agent.socket), "--write", path_text(folder)];
    run(&[&fetch[..], what, &place].concat())
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_the_code_for_files() {
    let (domain, agent) = node_with_three("unwritable.test");
    let file = domain.folder().join("file");
    std::fs::write(&file, "").expect("a file");
    for what in [&["x509"][..], &["jwt", "--audience", "a"], &["wit"], &["bundles"]] {
        for folder in [Path::new("/proc/nope"), &file] {
            let refused = written(&agent, what, folder).exits(1);
            assert_eq!(refused.problem(), "file_unavailable", "{what:?}");
            let document = refused.json();
            let detail = document["detail"].as_str().expect("a detail");
            assert!(detail.contains(path_text(folder)), "{what:?}: {detail}");
        }
    }
}

/// The names in a directory.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of UTF-8"))
        .collect()
}

#[test]
fn a_smaller_fetch_leaves_no_secret_of_a_larger_one_and_touches_nothing_else() {
    let (domain, agent) = node_with_three("smaller.test");
    let folder = domain.folder().join("mine");
    let tokens: [(&[&str], &[&str]); 2] = [(&["jwt", "--audience", "a"], &["jwt.N.token"]), (&["wit"], &["wit.N.token", "wit.N.key.json"])];
    let x509 = ["svid.N.pem", "svid.N.key", "bundle.N.pem"];
    let numbered = |patterns: &[&str], numbers: std::ops::Range<u8>| -> BTreeSet<String> {
        numbers
            .flat_map(|number| patterns.iter().map(move |pattern| pattern.replace('N', &number.to_string())))
            .collect()
    };
    let _ = written(&agent, &["x509"], &folder).exits(0);
    assert_eq!(names(&folder), numbered(&x509, 0..3));
    for (what, patterns) in tokens {
        let before = names(&folder);
        let _ = written(&agent, what, &folder).exits(0);
        let three = &before | &numbered(patterns, 0..3);
        assert_eq!(names(&folder), three, "{what:?}");
        let one = [what, &["--spiffe-id", "spiffe://smaller.test/c1"]].concat();
        let fetched = written(&agent, &one, &folder).exits(0).json();
        assert_eq!(names(&folder), &three - &numbered(patterns, 1..3), "{what:?}");
        let kept = numbered(patterns, 0..1);
        for name in &kept {
            let mode = folder.join(name).metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let token = kept.iter().find(|name| name.ends_with(".token")).expect("a token");
        let text = std::fs::read_to_string(folder.join(token)).expect("a token");
        assert_eq!(fetched["svids"][0]["token"], text);
    }
    let _ = domain.told(&["entry", "delete", "/c2", "--wait"]);
    let _ = domain.told(&["entry", "delete", "/c3", "--wait"]);
    let before = names(&folder);
    let _ = written(&agent, &["x509"], &folder).exits(0);
    assert_eq!(names(&folder), &before - &numbered(&x509, 1..3));
}
