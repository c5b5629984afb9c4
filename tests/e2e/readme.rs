//! README.md does what it says: each of its command blocks, in order, with its exact text, in one shell and an empty HOME.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tests::command::troth_path;
use tests::domain::open_directory;
use tests::wait::within;

/// The blocks build, show two rotations of a 60 s identity and walk through a deployment.
const LIMIT: Duration = Duration::from_secs(600);

fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(checkout().join("README.md")).expect("README.md");
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Where cargo and rustup keep what they have: HOME is empty.
fn toolchain(name: &str, folder: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{}/{folder}", std::env::var("HOME").expect("HOME")))
}

#[test]
fn every_block_of_the_readme_works_in_order() {
    let blocks = blocks();
    assert!(blocks.len() >= 8, "README.md has lost its blocks");
    let home = open_directory();
    let mut script = String::from("set -euo pipefail\n");
    for (index, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '--- block {}' >&2\n{block}\n", index + 1));
    }
    let output_path = home.path().join("output.log");
    let output = std::fs::File::create(&output_path).expect("the log");
    let mut command = Command::new("bash");
    command.arg("-c").arg(&script).current_dir(checkout()).stdin(Stdio::null());
    command.stdout(output.try_clone().expect("the log twice")).stderr(output);
    command
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var("PATH").expect("PATH"))
        .env("TROTH_INSIDE_TESTS", "1")
        .env("TMPDIR", home.path());
    command
        .env("CARGO_HOME", toolchain("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", toolchain("RUSTUP_HOME", ".rustup"));
    if let Some(target) = troth_path().ancestors().nth(2) {
        command.env("CARGO_TARGET_DIR", target);
    }
    // A process group of its own: the walk leaves a server and an agent running, as a person would.
    let mut shell = command.process_group(0).spawn().expect("bash starts");
    let group = Pid::from_raw(i32::try_from(shell.id()).expect("a process id"));
    let status = within(LIMIT, || shell.try_wait().expect("its state"));
    let _ = killpg(group, Signal::SIGKILL);
    let told = std::fs::read_to_string(&output_path).unwrap_or_default();
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{told}");
    for expected in [
        "rotation 2 verified: spiffe://quickstart.test/demo",
        "spiffe://prod.example.org/web",
        "URI:spiffe://prod.example.org/web",
        "unix:uid:",
        "issued",
    ] {
        assert!(told.contains(expected), "no {expected:?} in\n{told}");
    }
}
