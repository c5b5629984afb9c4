//! At a terminal, under a shell with job control.

use std::path::Path;
use std::process::Command;

use tests::command::{Run, troth_path};
use tests::domain::path_text;

use super::{folder, node};

#[test]
fn a_terminal_stops_continues_and_interrupts_the_program_and_its_job() {
    let (domain, agent) = node("terminal.test");
    let folder = folder(&domain, "out");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/job_control.py");
    let mut typing = Command::new("/usr/bin/python3");
    typing.arg(script).arg(troth_path()).args([path_text(&agent.socket), path_text(&folder)]);
    let _ = Run::of(&typing.output().expect("python starts (apt-get install python3)")).exits(0);
}
