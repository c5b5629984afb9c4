//! Workloads of any user: programs that fetch and watch their identities.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use serde_json::Value;

use crate::command::{Run, troth_path};
use crate::domain::path_text;
use crate::wait::PATIENCE;

/// Returns a command that runs `troth` as a user that no file of this machine need know.
#[must_use]
pub fn as_user(uid: u32) -> Command {
    let mut command = program_as(uid, path_text(&troth_path()));
    command.env_clear();
    command
}

/// Returns a command that runs any program as such a user.
#[must_use]
pub fn program_as(uid: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = uid.to_string();
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", program])
        .stdin(Stdio::null());
    command
}

/// Fetches X509-SVIDs as a user.
///
/// # Panics
///
/// When setpriv cannot be started: apt-get install util-linux.
#[must_use]
pub fn fetch_as(uid: u32, socket: &Path) -> Run {
    let output = as_user(uid)
        .args(["--output", "json", "svid", "fetch", "x509", "--socket", path_text(socket)])
        .output();
    Run::of(&output.expect("setpriv starts (apt-get install util-linux)"))
}

/// Returns the SPIFFE IDs of a fetch, in their order.
///
/// # Panics
///
/// When the fetch failed.
#[must_use]
pub fn ids(fetched: &Run) -> Vec<String> {
    assert_eq!(fetched.code, 0, "{fetched:?}");
    ids_of(&fetched.json())
}

/// Returns the SPIFFE IDs of a document with `svids`.
#[must_use]
pub fn ids_of(document: &Value) -> Vec<String> {
    document["svids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|svid| svid["spiffe_id"].as_str())
        .map(str::to_owned)
        .collect()
}

/// An open stream of a workload: `svid watch`, line by line.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Opens a stream as a user.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn open(uid: u32, socket: &Path) -> Self {
        let mut command = as_user(uid);
        command
            .args(["--output", "json", "svid", "watch", "--socket", path_text(socket)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("setpriv starts (apt-get install util-linux)");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok()));
        Self { child, lines }
    }

    /// Waits for the next update.
    ///
    /// # Panics
    ///
    /// When none comes in time or the stream ended.
    #[expect(clippy::should_implement_trait, reason = "it waits and panics, which an iterator should not")]
    pub fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no update: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// Returns the next update if it has come.
    ///
    /// # Panics
    ///
    /// When it is no JSON.
    pub fn try_next(&mut self) -> Option<Value> {
        let line = self.lines.try_recv().ok()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}")))
    }

    /// Waits for an update that is as wanted; others are passed over.
    ///
    /// # Panics
    ///
    /// As [`Watch::next`].
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let update = self.next();
            if wanted(&update) {
                return update;
            }
        }
    }

    /// Waits for the end of the stream and returns the exit code of its process.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn ended(mut self) -> i32 {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the stream did not end"),
            }
        }
        self.child.wait().expect("its end").code().unwrap_or(128)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
