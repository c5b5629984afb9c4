//! Runs the built `troth` as a person or a script would.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Returns the path of the built `troth`: `TROTH_BIN`, or the one beside this test.
///
/// # Panics
///
/// When it was not built: `cargo build --release -p cli`.
#[must_use]
pub fn troth_path() -> PathBuf {
    if let Some(path) = std::env::var_os("TROTH_BIN") {
        return path.into();
    }
    let mut folder = std::env::current_exe().expect("the path of this test");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join("troth");
    assert!(path.exists(), "{} is not there: cargo build --release -p cli", path.display());
    path
}

/// Returns a command with nothing of this process's own settings for troth.
#[must_use]
pub fn troth() -> Command {
    let mut command = Command::new(troth_path());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TROTH_") || name_text.starts_with("SPIFFE_") || name_text.starts_with("XDG_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What a run of `troth` came to.
#[derive(Debug)]
pub struct Run {
    /// The exit code; 128 and more after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Reads what a finished process left.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(128),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns itself when the exit code is the expected one.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Returns the one JSON document on standard output.
    ///
    /// # Panics
    ///
    /// When there is not exactly one.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }

    /// Returns the stable code of the problem document on standard output.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn problem(&self) -> String {
        let document = self.json();
        assert!(document["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint in {document}");
        document["code"].as_str().unwrap_or_else(|| panic!("no code in {document}")).to_owned()
    }
}

/// Runs `troth` to its end.
///
/// # Panics
///
/// When it cannot be started.
#[must_use]
pub fn run(arguments: &[&str]) -> Run {
    Run::of(&troth().args(arguments).output().expect("troth starts"))
}
