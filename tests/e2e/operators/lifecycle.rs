//! One process a directory, and how processes end.

use tests::command::run;
use tests::domain::{Domain, path_text};
use tests::ports::free_port;
use tests::workload::Watch;

#[test]
fn a_second_server_or_agent_on_one_directory_is_refused() {
    let domain = Domain::start("lock.test");
    let agent = domain.agent("n1");
    let listen = format!("127.0.0.1:{}", free_port());
    let second = run(&[
        "--output",
        "json",
        "server",
        "run",
        "--data-dir",
        path_text(&domain.server_data()),
        "--listen",
        &listen,
        "--telemetry-listen",
        "off",
    ])
    .exits(1);
    assert_eq!(second.problem(), "data_dir_in_use");
    let other = domain.folder().join("other.sock");
    let second = run(&[
        "--output",
        "json",
        "agent",
        "run",
        "--data-dir",
        path_text(&agent.data),
        "--workload-socket",
        path_text(&other),
        "--telemetry-listen",
        "off",
    ])
    .exits(1);
    assert_eq!(second.problem(), "data_dir_in_use");
    // The first of each goes on.
    assert_eq!(domain.told(&["health", "server"])["state"], "ready");
    assert_eq!(agent.operator(&["health", "agent"]).exits(0).json()["state"], "ready");
}

#[test]
fn sigterm_ends_both_with_exit_0_while_streams_are_open() {
    let mut domain = Domain::start("term.test");
    let mut agent = domain.agent("n1");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4901", "--wait"]);
    let mut watch = Watch::open(4901, &agent.socket);
    let _ = watch.next();
    let server = domain.server().terminate();
    assert!(server.success(), "{server:?}: {}", domain.server().log());
    let ended = agent.process().terminate();
    assert!(ended.success(), "{ended:?}: {}", agent.process().log());
    assert_ne!(watch.ended(), 0, "the workload was not told");
    for socket in [
        domain.server_data().join("admin.sock"),
        agent.data.join("agent-admin.sock"),
        agent.socket.clone(),
    ] {
        assert!(!socket.exists(), "{} is still there", socket.display());
    }
    // Nothing is lost.
    domain.start_server();
    agent.launch(None);
    agent.ready();
    assert_eq!(domain.told(&["entry", "count"])["count"], 1);
}

#[test]
fn a_directory_without_a_trust_domain_is_not_run() {
    let folder = tests::domain::open_directory();
    let data = folder.path().join("nothing");
    let refused = run(&[
        "--output",
        "json",
        "server",
        "run",
        "--data-dir",
        path_text(&data),
        "--listen",
        "127.0.0.1:0",
        "--telemetry-listen",
        "off",
    ])
    .exits(1);
    assert_eq!(refused.problem(), "data_dir_not_initialised");
    let agent = folder.path().join("agent");
    let socket = folder.path().join("w.sock");
    let refused = run(&[
        "--output",
        "json",
        "agent",
        "run",
        "--data-dir",
        path_text(&agent),
        "--workload-socket",
        path_text(&socket),
        "--telemetry-listen",
        "off",
    ])
    .exits(2);
    assert_eq!(refused.problem(), "join_link_required");
}
