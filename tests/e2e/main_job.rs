//! The main job: a CA, an agent, a rotating workload identity.

use tests::domain::{Domain, path_text};
use tests::wait::until;
use tests::workload::{Watch, fetch_as, ids};

#[test]
fn a_workload_gets_its_svid_and_the_files_follow() {
    let domain = Domain::start("main.test");
    let sink = domain.folder().join("svid");
    let agent = domain.agent_with("web-1", &["--sink", &format!("spiffe://main.test/web={}", path_text(&sink))]);
    let entry = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--selector",
        "unix:uid:4001",
        "--class",
        "fast",
        "--wait",
    ]);
    assert_eq!(entry["spiffe_id"], "spiffe://main.test/web");
    assert_eq!(entry["parent_id"], "spiffe://main.test/troth/agent/join_token/web-1");
    assert_eq!(entry["result"], "created");

    let fetched = fetch_as(4001, &agent.socket);
    assert_eq!(ids(&fetched), ["spiffe://main.test/web"]);

    // `--wait` returned, so the files are in place already.
    let linted = tests::command::run(&["svid", "lint", path_text(&sink.join("svid.pem"))]);
    assert_eq!(linted.code, 0, "{linted:?}");
    let openssl = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"])
        .arg(sink.join("bundle.pem"))
        .arg("-untrusted")
        .arg(sink.join("svid.pem"))
        .arg(sink.join("svid.pem"))
        .output()
        .expect("openssl starts (apt-get install openssl)");
    assert!(openssl.status.success(), "{openssl:?}");
}

#[test]
fn an_svid_rotates_again_and_again_on_an_open_stream() {
    let domain = Domain::start("rotate.test");
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", 4002, "10s");
    let mut watch = Watch::open(4002, &agent.socket);
    let mut serials = std::collections::BTreeSet::new();
    while serials.len() < 5 {
        let update = watch.next();
        serials.insert(update["svids"][0]["serial"].as_str().expect("a serial").to_owned());
    }
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    for serial in serials {
        assert!(exported.contains(&serial), "{serial} is not in the journal");
    }
}

#[test]
fn credentials_are_served_while_the_server_is_away_and_after_an_agent_restart() {
    let mut domain = Domain::start("away.test");
    let mut agent = domain.agent("n1");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4003", "--wait"]);
    // The cache is on disk a moment after a change: a kill before that loses what the server would issue again.
    let held = std::time::SystemTime::now();
    let before = fetch_as(4003, &agent.socket);
    let cache = agent.data.join("cache.sealed");
    until("the agent's cache to be on disk", || {
        cache.metadata().and_then(|file| file.modified()).ok().filter(|written| *written >= held)
    });
    domain.server().kill_9();
    assert_eq!(ids(&fetch_as(4003, &agent.socket)), ["spiffe://away.test/job"]);
    agent.process().kill_9();
    agent.launch(None);
    let after = until("the agent to serve from its cache", || {
        Some(fetch_as(4003, &agent.socket)).filter(|run| run.code == 0)
    });
    assert_eq!(before.json()["svids"][0]["serial"], after.json()["svids"][0]["serial"]);
    domain.start_server();
    agent.ready();
}
