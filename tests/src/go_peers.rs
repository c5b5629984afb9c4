//! Peers in Go, by go-spiffe as it is: a service and a caller over mutual TLS, each with an identity of whoever runs the tests.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::domain::path_text;

/// The client in Go, which goes on until its standard input ends.
#[derive(Debug)]
struct Running {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Running {
    fn start(socket: &Path, id: &str, word: &str, arguments: &[String]) -> Self {
        let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let client = std::env::var_os("TROTH_GO_CLIENT").map_or_else(|| checkout.join("build/go-client"), PathBuf::from);
        let mut command = Command::new(&client);
        command.args([word, path_text(socket), id]).args(arguments);
        command.env_remove("SPIFFE_ENDPOINT_SOCKET").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it: tests/run e2e", client.display()));
        let told = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, told }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.told.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service: it answers each line with the line and the serial of the caller's certificate.
#[derive(Debug)]
pub struct GoService {
    _running: Running,
    address: SocketAddr,
}

impl GoService {
    /// Starts one with the identity that this socket gives, which admits these.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn admitting(socket: &Path, id: &str, admitted: &[String]) -> Self {
        let mut running = Running::start(socket, id, "admit", admitted);
        let told = running.line();
        let address = told["address"].as_str().and_then(|address| address.parse().ok());
        Self {
            _running: running,
            address: address.unwrap_or_else(|| panic!("no address in {told}")),
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A caller: it asks services again and again, on a connection of its own each time.
#[derive(Debug)]
pub struct GoCaller(Running);

/// What a caller came to.
#[derive(Debug, Default)]
pub struct GoCalls {
    /// How often it asked.
    pub asked: u64,
    /// How often it asked again, since a service's library was converting an update: only a service by spiffe-rustls makes it.
    pub asked_again: u64,
    /// What went wrong, in its words.
    pub failures: Vec<String>,
}

impl GoCaller {
    /// Starts one with the identity that this socket gives; it calls each of these addresses, where it expects this identity, that often.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(socket: &Path, id: &str, every: Duration, services: &[(SocketAddr, String)]) -> Self {
        let mut arguments = vec![every.as_millis().to_string()];
        arguments.extend(services.iter().flat_map(|(address, id)| [address.to_string(), id.clone()]));
        Self(Running::start(socket, id, "load", &arguments))
    }

    /// Waits until every service has answered once; the client gives up by itself.
    ///
    /// # Panics
    ///
    /// When it does.
    pub fn ready(&mut self) {
        assert_eq!(self.0.line()["ready"], true);
    }

    /// Ends it, and returns what it came to.
    ///
    /// # Panics
    ///
    /// When it does not say so.
    #[must_use]
    pub fn end(mut self) -> GoCalls {
        drop(self.0.child.stdin.take());
        let mut calls = GoCalls::default();
        loop {
            let line = self.0.line();
            if let Some(asked) = line["asked"].as_u64() {
                calls.asked = asked;
                calls.asked_again = line["asked_again"].as_u64().expect("how often it asked again");
                return calls;
            }
            calls.failures.push(line.to_string());
        }
    }
}
