//! `troth health`, and the telemetry listener.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;

use super::has_fields;

/// Starts the server of a domain with a telemetry port.
fn server_with_telemetry(domain: &Domain, port: u16) -> Process {
    let mut command = domain.server_command();
    command.args(["--telemetry-listen", &format!("127.0.0.1:{port}")]);
    Process::start(command, &domain.folder().join("server.log"))
}

/// Starts an agent with a telemetry port.
fn agent_with_telemetry(domain: &Domain, port: u16, link: &str) -> (Agent, Process) {
    let agent = Agent::new(domain.folder(), "n1");
    let mut command = agent.command();
    command.args(["--telemetry-listen", &format!("127.0.0.1:{port}")]);
    command.env("TROTH_JOIN", link);
    (agent, Process::start(command, &domain.folder().join("agent.log")))
}

/// Asks over HTTP and returns the status and the body.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn ready(port: u16) {
    until("readyz", || get(port, "/readyz").filter(|(status, _)| *status == 200));
}

#[test]
fn metrics_and_probes_of_server_and_agent_are_served() {
    let domain = Domain::init("probe.test");
    let (server_port, agent_port) = (free_port(), free_port());
    let _server = server_with_telemetry(&domain, server_port);
    ready(server_port);
    let link = domain.link("n1");
    let (_agent, _process) = agent_with_telemetry(&domain, agent_port, &link);
    ready(agent_port);
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:1", "--wait"]);
    for port in [server_port, agent_port] {
        assert_eq!(get(port, "/livez").expect("an answer").0, 200);
        assert_eq!(get(port, "/nothing").expect("an answer").0, 404);
    }
    // What is counted shows at once, what is measured from time to time.
    let shows = |port: u16, lines: &[&str]| {
        until(&format!("{lines:?}"), || {
            get(port, "/metrics").filter(|(status, text)| *status == 200 && lines.iter().all(|line| text.contains(line)))
        });
    };
    shows(
        server_port,
        &[
            "troth_server_svids_issued_total 1",
            "troth_server_nodes_attested_total 1",
            "troth_server_sync_streams 1",
            "troth_server_entries 1",
            "# EOF",
        ],
    );
    shows(
        agent_port,
        &[
            "troth_agent_svids_issued_total 1",
            "troth_agent_entries 1",
            "troth_agent_svids 1",
            "troth_agent_connected 1",
            "# EOF",
        ],
    );
}

#[test]
fn a_taken_telemetry_port_does_not_stop_a_start_and_health_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let domain = Domain::init("taken.test");
    let _server = server_with_telemetry(&domain, port);
    let health = |arguments: &[&str]| {
        until("an answer", || {
            Some(run(arguments)).filter(|run| run.code == 1 && run.json()["state"] == "degraded")
        })
    };
    let server = health(&["--output", "json", "health", "server", "--data-dir", path_text(&domain.server_data())]).json();
    has_fields(&server, &["state", "problems"]);
    assert!(server["problems"].to_string().contains("--telemetry-listen"), "{server}");

    // Identity comes first: nodes join and workloads are served.
    let link = domain.link("n1");
    let (agent, _process) = agent_with_telemetry(&domain, port, &link);
    let told = health(&["--output", "json", "health", "agent", "--data-dir", path_text(&agent.data)]).json();
    assert!(told["problems"].to_string().contains("--telemetry-listen"), "{told}");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4801", "--wait"]);
    assert_eq!(
        tests::workload::ids(&tests::workload::fetch_as(4801, &agent.socket)),
        ["spiffe://taken.test/job"]
    );
}

#[test]
fn health_tells_ready_from_not_ready_from_nobody_there() {
    let mut domain = Domain::start("health.test");
    let server = ["health", "server"];
    assert_eq!(domain.told(&server)["state"], "ready");
    let link = domain.link("n1");
    assert!(domain.server().terminate().success());
    assert_eq!(domain.operator(&server).exits(4).problem(), "cannot_reach");

    // An agent that cannot reach its server for the first time runs and is not ready.
    let mut agent = Agent::new(domain.folder(), "n1");
    assert_eq!(agent.operator(&["health", "agent"]).exits(4).problem(), "cannot_reach");
    agent.launch(Some(&link));
    let waiting = until("the agent to answer", || Some(agent.operator(&["health", "agent"])).filter(|run| run.code == 1));
    assert_ne!(waiting.json()["state"], "ready");
    let text = run(&["health", "agent", "--data-dir", path_text(&agent.data)]).exits(1).stdout;
    assert!(!text.starts_with("ready"), "{text}");
    domain.start_server();
    agent.ready();
}
