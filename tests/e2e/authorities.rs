//! Authorities replaced under running workloads: planned, in an emergency, with a server that dies and agents that do not answer.

mod away;
mod constrained;
mod delivered;
mod emergency;
mod interrupted;
mod java_states;
mod orders;
mod planned;
pub(crate) mod thief;
mod tokens;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::command::{Run, troth};
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use trust_domains::TrustBundle;

/// The longest that a replacement here takes: several acknowledgements of a few seconds each.
const REPLACED_WITHIN: &str = "2m";

/// Joins a node that has one identity, for whoever runs these tests.
fn node_with_identity(domain: &Domain, node: &str, path: &str) -> Agent {
    let agent = domain.agent(node);
    domain.fast_entry(node, path, nix::unistd::getuid().as_raw(), "180s");
    agent
}

/// Returns the command line that replaces authorities of a kind, and waits for the end.
fn replace<'a>(kind: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let order = ["authority", "replace", "--kind", kind, "--because", "a drill", "--wait", REPLACED_WITHIN];
    [&order[..], more].concat()
}

/// Returns the authorities of a kind.
fn authorities(domain: &Domain, kind: &str) -> Vec<Value> {
    let list = domain.told(&["authority", "list"]);
    let items = list["items"].as_array().expect("items").iter();
    items.filter(|authority| authority["kind"] == kind).cloned().collect()
}

/// Returns the id of the one authority of a kind that is in this state.
fn id_of(domain: &Domain, kind: &str, state: &str) -> String {
    let all = authorities(domain, kind);
    let mut found = all.iter().filter(|authority| authority["state"] == state);
    match (found.next(), found.next()) {
        (Some(one), None) => one["id"].as_str().expect("an id").to_owned(),
        _ => panic!("not one {kind} is {state}: {all:?}"),
    }
}

/// Returns the trust bundle as the server has it.
fn bundle(domain: &Domain) -> TrustBundle {
    let shown = domain.told(&["bundle", "show"]);
    TrustBundle::parse_spiffe_json(&domain.name.parse().expect("a trust domain"), shown.to_string().as_bytes()).expect("a bundle")
}

/// An operator's command that runs beside the test.
struct Running(Child);

impl Running {
    fn start(domain: &Domain, arguments: &[&str]) -> Self {
        let mut command: Command = troth();
        command
            .args(["--output", "json"])
            .args(arguments)
            .args(["--data-dir", path_text(&domain.server_data())]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("troth starts"))
    }

    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"))
    }

    fn ended(mut self) -> Run {
        let _code = until("the end of a command", || self.0.try_wait().expect("its state"));
        Run::of(&self.0.wait_with_output().expect("what it printed"))
    }
}

/// Returns the step of a replacement that is under way.
fn running_step(domain: &Domain) -> Option<String> {
    let client = tests::admin::admin(domain, Duration::from_secs(20));
    let all: Value = tests::admin::runtime().block_on(client.get("/v1/admin/authorities/replacements")).ok()?;
    let steps = all["items"].get(0)?["steps"].as_array()?.clone();
    let running = steps.into_iter().find(|step| step["state"] == "running")?;
    running["what"].as_str().map(str::to_owned)
}

/// Returns how long something took.
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (act(), begun.elapsed())
}
