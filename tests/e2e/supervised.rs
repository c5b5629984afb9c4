//! `troth run`: programs that know nothing of SPIFFE, with files that are always fresh.

mod ending;
mod forms;
mod reloading;
mod rotating;
mod signals;
mod terminal;
mod users;

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::command::troth;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::until;

/// A node where whoever runs these tests is `/web`, with a life of 10 s: the shortest there is.
fn node(name: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/web", nix::unistd::getuid().as_raw(), "10s");
    (domain, agent)
}

/// Returns `troth run` with these options and a script of the shell.
fn supervised(agent: &Agent, folder: &Path, options: &[&str], script: &str) -> Command {
    let mut command = troth();
    command.args(["run", "--socket", path_text(&agent.socket)]).args(options);
    command.args(["--", "/bin/sh", "-c", script]);
    command.env("TMPDIR", folder).env_remove("XDG_RUNTIME_DIR").env("OUT", folder);
    command
}

/// Starts it, with a log in the folder.
fn start(agent: &Agent, folder: &Path, options: &[&str], script: &str) -> Process {
    Process::start(supervised(agent, folder, options, script), &folder.join("log"))
}

/// Makes a folder of the test.
fn folder(domain: &Domain, name: &str) -> PathBuf {
    let folder = domain.folder().join(name);
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

/// Waits until a file in the folder holds a text that is wanted.
fn written(folder: &Path, name: &str, wanted: impl Fn(&str) -> bool) -> String {
    until(&format!("{name} of the program"), || {
        std::fs::read_to_string(folder.join(name)).ok().filter(|text| wanted(text))
    })
}

/// Returns the directories of runs that are left in a folder.
fn left_behind(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("troth-run-")))
        .count()
}
