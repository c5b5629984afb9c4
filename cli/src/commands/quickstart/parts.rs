//! The processes of a quickstart: started with a log each, watched, and ended with it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use trust_domains::problem::{Code, Problem};

use crate::failure::Failure;

/// How long a part may take to end after SIGTERM before it is killed: its own graceful shutdown takes at most 5 s.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// One running part.
struct Part {
    name: String,
    log: PathBuf,
    child: Child,
}

/// The running parts.
#[derive(Default)]
pub(crate) struct Parts {
    running: Vec<Part>,
}

impl Parts {
    /// Starts a part with its log; `input` is given to its standard input.
    pub(crate) async fn start(&mut self, name: &str, log: &Path, arguments: &[&str], input: Option<&str>) -> Result<(), Failure> {
        let output = open_log(log)?;
        let mut command = troth()?;
        command.args(arguments).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|error| failed(name, log, &format!("cannot start it: {error}")))?;
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            tokio::io::AsyncWriteExt::write_all(&mut pipe, input.as_bytes()).await?;
        }
        self.running.push(Part {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
        });
        Ok(())
    }

    /// Fails, naming the part, when one has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        for part in &mut self.running {
            if let Some(status) = part.child.try_wait()? {
                let last = last_line(&part.log);
                return Err(failed(&part.name, &part.log, &format!("it ended with {status}: {last}")));
            }
        }
        Ok(())
    }

    /// Ends every part, the last started first.
    pub(crate) async fn stop(&mut self) {
        while let Some(mut part) = self.running.pop() {
            terminate(&part.child);
            if tokio::time::timeout(STOP_WITHIN, part.child.wait()).await.is_err() {
                // It had its time: the data survives a kill at any moment.
                let _ = part.child.kill().await;
            }
        }
    }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // A part that has ended already is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn troth() -> Result<Command, Failure> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Runs one command to its end and returns its JSON document.
pub(crate) async fn call<T: serde::de::DeserializeOwned>(arguments: &[&str]) -> Result<T, Failure> {
    let output = troth()?.args(["--output", "json"]).args(arguments).stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|error| Failure::new(Code::Internal, format!("troth {}: {error}", arguments.join(" "))));
    }
    match serde_json::from_slice::<Problem>(&output.stdout) {
        Ok(problem) => Err(problem.into()),
        Err(_) => Err(Failure::new(
            Code::Internal,
            format!("troth {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()),
        )),
    }
}

/// The failure of a part: its name, its log, and what to do.
pub(crate) fn failed(name: &str, log: &Path, what: &str) -> Failure {
    Failure::new(Code::Internal, format!("the {name} failed: {what}")).with_hint(format!("look in {}; to start anew: troth quickstart --remove", log.display()))
}

fn open_log(path: &Path) -> Result<File, Failure> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(b"--- quickstart ---\n")?;
    Ok(file)
}

fn last_line(log: &Path) -> String {
    let bytes = platform::files::read_limited(log, 64 * 1024 * 1024).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty").to_owned()
}
