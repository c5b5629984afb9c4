//! What the processes tell the service manager.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::PATIENCE;

/// The watchdog of these tests, in microseconds.
const WATCHDOG: &str = "400000";

/// A service manager's ear.
struct Manager {
    ear: UnixDatagram,
    place: PathBuf,
}

impl Manager {
    fn beside(domain: &Domain) -> Self {
        let place = domain.folder().join("notify.sock");
        let ear = UnixDatagram::bind(&place).expect("a socket");
        ear.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self { ear, place }
    }

    fn supervises(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", &self.place).env("WATCHDOG_USEC", WATCHDOG);
    }

    /// Returns the lines of the next message.
    fn hears(&self) -> Vec<String> {
        let mut message = [0; 4_096];
        let octets = self.ear.recv(&mut message).expect("a message in time");
        let text = String::from_utf8_lossy(message.get(..octets).unwrap_or_default()).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Hears on until a message has a line that is wanted; returns how many signs of life came before.
    fn hears_until(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let mut beats = 0;
        loop {
            let lines = self.hears();
            if lines.iter().any(|line| wanted(line)) {
                return beats;
            }
            beats += lines.iter().filter(|line| *line == "WATCHDOG=1").count();
        }
    }

    fn hears_beats(&self, count: usize) {
        for _ in 0..count {
            self.hears_until(|line| line == "WATCHDOG=1");
        }
    }
}

#[test]
fn a_server_says_that_it_serves_that_it_lives_and_that_it_ends() {
    let domain = Domain::init("notified.test");
    let manager = Manager::beside(&domain);
    let mut command = domain.server_command();
    command.args(["--telemetry-listen", "off"]);
    manager.supervises(&mut command);
    let mut server = Process::start(command, &domain.folder().join("notified.log"));
    let first = manager.hears();
    assert_eq!(first, ["READY=1", "STATUS=ready"]);
    assert_eq!(domain.operator(&["health", "server"]).code, 0, "ready means that it answers");
    manager.hears_beats(3);
    server.signal(Signal::SIGTERM);
    manager.hears_until(|line| line == "STOPPING=1");
    assert!(server.ended().success());
}

#[test]
fn an_agent_tells_in_its_status_that_the_server_is_away_and_lives_on() {
    let mut domain = Domain::start("status.test");
    let manager = Manager::beside(&domain);
    let mut command = Agent::new(domain.folder(), "n1").command();
    command.args(["--telemetry-listen", "off", "--join-file", path_text(&domain.link_file("n1"))]);
    manager.supervises(&mut command);
    let mut process = Process::start(command, &domain.folder().join("notified.log"));
    assert_eq!(
        manager.hears().first().map(String::as_str),
        Some("READY=1"),
        "callers are answered from the start"
    );
    manager.hears_until(|line| line == "STATUS=ready");
    domain.server().kill_9();
    manager.hears_until(|line| line.starts_with("STATUS=degraded: no sync stream since "));
    manager.hears_beats(2);
    process.signal(Signal::SIGTERM);
    manager.hears_until(|line| line == "STOPPING=1");
    assert!(process.ended().success());
}
