//! What `--write` leaves in its directory, and what it says where it cannot.

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
