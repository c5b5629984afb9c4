//! The interpreter with the PyPI packages that tests need.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::Run;

/// Returns the interpreter: `TROTH_PYTHON`, else that of this checkout's `build/venv`.
///
/// # Panics
///
/// When it does not have the module.
#[must_use]
pub fn python_with(module: &str) -> PathBuf {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let python = std::env::var_os("TROTH_PYTHON").map_or_else(|| checkout.join("build/venv/bin/python"), PathBuf::from);
    let ready = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(ready, "{} has no module `{module}`; install it: tests/run e2e", python.display());
    python
}

/// Runs a script of `tests/python` with this standard input.
///
/// # Panics
///
/// When it cannot be run.
#[must_use]
pub fn run_script(module: &str, script: &str, arguments: &[&str], input: &str) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let mut child = Command::new(python_with(module))
        .arg("-W")
        .arg("ignore")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    Run::of(&child.wait_with_output().expect("its output"))
}
