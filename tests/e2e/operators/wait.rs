//! `--wait`: read your own writes, and who is missing when it takes too long.

use nix::sys::signal::Signal;
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;

use super::{text_of, typed};

fn disconnected(domain: &Domain, node: &str) {
    until("the server to see that a node is away", || {
        (domain.told(&["node", "show", node])["connected"] == false).then_some(())
    });
}

#[test]
fn wait_says_who_shows_the_change_and_who_is_away() {
    let domain = Domain::start("wait.test");
    let create = |path: &str, node: &str| {
        let waited = typed(
            &domain,
            &[
                "entry",
                "create",
                "--spiffe-id",
                path,
                "--parent",
                node,
                "--selector",
                "unix:uid:1",
                "--wait=20s",
            ],
        )
        .exits(0);
        assert!(waited.stdout.contains("created"), "{waited:?}");
        waited.stderr
    };
    let _one = domain.agent("n1");
    let mut two = domain.agent("n2");
    let told = create("/one", "n1");
    assert!(told.contains("1 of 1 connected node"), "{told}");

    two.process().kill_9();
    disconnected(&domain, "n2");
    let told = create("/two", "n2");
    assert!(told.contains("no connected node is concerned") && told.contains("n2 away since "), "{told}");

    // A file for both: one shows it, one is away.
    let file = domain.folder().join("both.json");
    let entry = |node: &str| format!(r#"{{"spiffe_id":"/both","parent_id":"{node}","selectors":["unix:uid:1"]}}"#);
    std::fs::write(&file, format!("[{},{}]", entry("n1"), entry("n2"))).expect("the file");
    let both = typed(&domain, &["entry", "create", "--file", path_text(&file), "--wait"]).exits(0);
    assert!(both.stderr.contains("1 of 1 connected node, n2 away since "), "{both:?}");
}

/// A stopped agent is still connected, and shows nothing.
fn stopped(agent: &mut Agent, during: impl FnOnce()) {
    agent.process().signal(Signal::SIGSTOP);
    during();
    agent.process().signal(Signal::SIGCONT);
}

#[test]
fn wait_ends_at_its_limit_names_who_is_missing_and_keeps_the_change() {
    let domain = Domain::start("late.test");
    let mut agent = domain.agent("slow-node");
    stopped(&mut agent, || {
        let late = typed(&domain, &["entry", "create", "--spiffe-id", "/late", "--selector", "unix:uid:1", "--wait=1s"]).exits(1);
        assert!(late.stderr.contains("0 of 1 connected node") && late.stderr.contains("slow-node"), "{late:?}");
        let later = domain
            .operator(&["entry", "create", "--spiffe-id", "/later", "--selector", "unix:uid:1", "--wait=1s"])
            .exits(1);
        assert_eq!(text_of(&later.json(), "result"), "created", "the result is one document");
        assert_eq!(domain.told(&["entry", "count"])["count"], 2, "the entries are kept");
    });
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/after", "--selector", "unix:uid:1", "--wait"]);
    let status = run(&["--output", "json", "agent", "status", "--data-dir", path_text(&agent.data)])
        .exits(0)
        .json();
    assert_eq!(status["entries"], 3);
}
