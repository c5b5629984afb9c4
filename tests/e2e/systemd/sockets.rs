//! Sockets that systemd made.

use std::path::Path;
use std::process::Command;

use tests::command::troth_path;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::until;
use tests::workload::{fetch_as, ids};

const USER: u32 = 4_741;

/// Has systemd's own tool listen on sockets of these names and start an agent at the first call.
fn activated(agent: &Agent, names: &str, link: &Path, log: &Path) -> Process {
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", path_text(&agent.socket), "--listen", path_text(&agent.sds_socket)]);
    command.arg(format!("--fdname={names}")).arg(troth_path());
    command.args(agent.command().get_args());
    command.args(["--telemetry-listen", "off", "--join-file", path_text(link)]);
    Process::start(command, log)
}

/// systemd sets the mode by SocketMode=; its tool leaves what the umask left.
fn open_for_all(socket: &Path) {
    until("the socket", || socket.exists().then_some(()));
    std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("its mode");
}

#[test]
fn a_call_that_came_before_the_agent_is_answered_by_it_and_the_sockets_stay_when_it_ends() {
    let domain = Domain::start("activated.test");
    let agent = Agent::new(domain.folder(), "n1");
    let log = domain.folder().join("activated.log");
    let mut process = activated(&agent, "workload:sds", &domain.link_file("n1"), &log);
    open_for_all(&agent.socket);
    // Nobody runs yet: this call starts the agent.
    let first = fetch_as(USER, &agent.socket);
    assert_ne!(first.code, 0, "nothing is registered yet");
    until("the node", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
    domain.fast_entry("n1", "/web", USER, "60s");
    assert_eq!(ids(&fetch_as(USER, &agent.socket)), ["spiffe://activated.test/web"]);
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    assert_eq!(status["workload_socket"], path_text(&agent.socket));
    assert!(process.terminate().success(), "{}", process.log());
    assert!(agent.socket.exists() && agent.sds_socket.exists(), "callers wait in them for the next start");
}

#[test]
fn sockets_of_unknown_names_are_refused_with_what_to_change() {
    let domain = Domain::start("misnamed.test");
    let agent = Agent::new(domain.folder(), "n1");
    let log = domain.folder().join("misnamed.log");
    let mut process = activated(&agent, "workload:envoy", &domain.link_file("n1"), &log);
    open_for_all(&agent.socket);
    let _ = fetch_as(USER, &agent.socket);
    assert_eq!(process.ended().code(), Some(1));
    let log = process.log();
    assert!(log.contains("\"envoy\"") && log.contains("FileDescriptorName="), "{log}");
}
