//! `troth proxy` between programs without TLS, and peers of every kind.

mod endings;
mod go_peers;
mod guests;
mod lifecycle;
mod peer;
mod program;
mod refusals;
mod rotations;
mod streams;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::domain::{Agent, Domain, path_text};
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;
use tests::workload::as_user;

/// The users that the proxies run as: each has an entry of its own.
const SERVER: u32 = 4_811;
const CLIENT: u32 = 4_812;

/// A trust domain with a node: `/server` and `/client` are the proxies', `/friend` and `/stranger` are for whoever runs these tests.
struct World {
    domain: Domain,
    agent: Agent,
}

impl World {
    fn start(name: &str, life: &str) -> Self {
        let domain = Domain::start(name);
        let agent = domain.agent("n1");
        let own = nix::unistd::getuid().as_raw();
        for (path, uid) in [("/server", SERVER), ("/client", CLIENT), ("/friend", own), ("/stranger", own)] {
            domain.fast_entry("n1", path, uid, life);
        }
        Self { domain, agent }
    }

    fn id(&self, path: &str) -> String {
        format!("spiffe://{}{path}", self.domain.name)
    }

    /// Starts an inbound proxy in front of a program, and waits until it has credentials.
    fn inbound(&self, target: &str, options: &[&str]) -> Proxy {
        let listen = format!("127.0.0.1:{}", free_port());
        let arguments = [&["inbound", "--listen", &listen, "--target", target], options].concat();
        Proxy::start(&self.agent.socket, self.domain.folder(), SERVER, &listen, &arguments)
    }

    /// Starts an outbound proxy to a peer.
    fn outbound(&self, target: &str, options: &[&str]) -> Proxy {
        let listen = format!("127.0.0.1:{}", free_port());
        let arguments = [&["outbound", "--listen", &listen, "--target", target], options].concat();
        Proxy::start(&self.agent.socket, self.domain.folder(), CLIENT, &listen, &arguments)
    }
}

/// A running proxy.
struct Proxy {
    process: Process,
    listen: String,
    log: PathBuf,
}

impl Proxy {
    fn start(socket: &Path, folder: &Path, uid: u32, listen: &str, arguments: &[&str]) -> Self {
        let log = folder.join(format!("proxy-{}.log", listen.replace([':', '/'], "-")));
        let mut command = as_user(uid);
        command
            .args(["--log-format", "json", "proxy"])
            .args(arguments)
            .args(["--socket", path_text(socket)]);
        let mut proxy = Self {
            process: Process::start(command, &log),
            listen: listen.to_owned(),
            log,
        };
        proxy.has_credentials();
        proxy
    }

    fn has_credentials(&mut self) {
        until("credentials of the proxy", || {
            assert!(self.process.is_running(), "the proxy ended: {}", self.process.log());
            (!self.serials().is_empty()).then_some(())
        });
    }

    fn address(&self) -> SocketAddr {
        self.listen.parse().expect("an address")
    }

    /// Returns what it logged, line by line.
    fn lines(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns the serials of the certificates that it was given.
    fn serials(&self) -> BTreeSet<String> {
        let lines = self.lines();
        let given = lines.iter().filter(|line| line["message"] == "the proxy has credentials");
        given.filter_map(|line| line["serial"].as_str().map(str::to_owned)).collect()
    }

    /// Returns the records of connections that ended so.
    fn records(&self, why: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["why"] == why).collect()
    }

    /// Waits for the record of a connection that ended so.
    fn record(&self, why: &str) -> Value {
        until(&format!("a connection that ended: {why}"), || self.records(why).pop())
    }
}
