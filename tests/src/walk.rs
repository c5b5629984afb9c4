//! Walks through a page: each of its command blocks, in order, with its exact text, in one shell and an empty HOME.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::command::troth_path;
use crate::domain::open_directory;
use crate::wait::within;

/// A page and what the shell that walks through it has in its environment.
#[derive(Debug)]
pub struct Walk {
    blocks: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl Walk {
    /// Takes the `sh` blocks of a page; its path is that in the repository.
    ///
    /// # Panics
    ///
    /// When the page is not there.
    #[must_use]
    pub fn of(page: &str) -> Self {
        let text = std::fs::read_to_string(checkout().join(page)).expect("the page");
        let blocks = text.split("```sh\n").skip(1);
        Self {
            blocks: blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect(),
            environment: Vec::new(),
        }
    }

    /// Puts a variable into the shell's environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<PathBuf>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Returns how many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Returns whether the page has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Walks through the page and returns what was printed. `first` are directories of programs that come before all others.
    ///
    /// # Panics
    ///
    /// When a command fails, or the end is not reached within `limit`.
    #[must_use]
    pub fn succeeds(&self, limit: Duration, first: &[&Path]) -> String {
        let home = open_directory();
        let output_path = home.path().join("output.log");
        let output = std::fs::File::create(&output_path).expect("the log");
        let mut command = Command::new("bash");
        command.arg("-c").arg(self.script()).current_dir(checkout()).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("the log twice")).stderr(output);
        command.env_clear().env("HOME", home.path()).env("TMPDIR", home.path()).env("PATH", path(first));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // A process group of its own: the walk leaves a server and an agent running, as a person would.
        let mut shell = command.process_group(0).spawn().expect("bash starts");
        let group = Pid::from_raw(i32::try_from(shell.id()).expect("a process id"));
        let status = within(limit, || shell.try_wait().expect("its state"));
        let _ = killpg(group, Signal::SIGKILL);
        let told = std::fs::read_to_string(&output_path).unwrap_or_default();
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{told}\n{}", logs(home.path()));
        told
    }

    fn script(&self) -> String {
        let mut script = String::from("set -euo pipefail\n");
        for (index, block) in self.blocks.iter().enumerate() {
            script.push_str(&format!("echo '--- block {}' >&2\n{block}\n", index + 1));
        }
        script
    }
}

/// Returns the directory of this repository.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The search path: what a test puts first, the built `troth`, and that of this process.
fn path(first: &[&Path]) -> std::ffi::OsString {
    let troth = troth_path();
    let own = std::env::var_os("PATH").expect("PATH");
    let directories = first.iter().copied().chain(troth.parent()).map(Path::to_owned);
    std::env::join_paths(directories.chain(std::env::split_paths(&own))).expect("a search path")
}

/// What servers and agents of the walk wrote.
fn logs(home: &Path) -> String {
    let folders = std::fs::read_dir(home).into_iter().flatten().flatten().map(|folder| folder.path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let logs = files.map(|file| file.path()).filter(|file| file.extension() == Some(OsStr::new("log")));
    logs.map(|file| format!("--- {}\n{}", file.display(), std::fs::read_to_string(&file).unwrap_or_default()))
        .collect()
}
