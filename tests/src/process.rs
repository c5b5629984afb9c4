//! A process that ends with the test that started it, and whose log a failure shows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until;

/// A running program with its log.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it prints goes to the end of `log`.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("the log can be opened");
        command.stdout(file.try_clone().expect("the log twice")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Gives text to its standard input, which must be a pipe, and closes it.
    ///
    /// # Panics
    ///
    /// When it does not take it.
    pub fn give(&mut self, text: &str) {
        use std::io::Write as _;
        self.child
            .stdin
            .take()
            .expect("a piped standard input")
            .write_all(text.as_bytes())
            .expect("it reads its standard input");
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Returns the processes that it started and that have not ended.
    ///
    /// # Panics
    ///
    /// When there is no `/proc`.
    #[must_use]
    pub fn children(&self) -> Vec<i32> {
        let parent = format!("\nPPid:\t{}\n", self.pid());
        let processes = std::fs::read_dir("/proc").expect("the processes");
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let is_child = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains(&parent) && !status.contains("State:\tZ")
        };
        numbers.filter(is_child).collect()
    }

    /// Returns what it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the process is there");
    }

    /// Kills it as a power switch would, and waits until it is gone.
    pub fn kill_9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end and returns how it did.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn ended(&mut self) -> ExitStatus {
        until("the end of a process", || self.child.try_wait().expect("its state"))
    }

    /// Returns whether it still runs.
    ///
    /// # Panics
    ///
    /// When its state cannot be read.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}
