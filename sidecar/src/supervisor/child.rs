//! The program, and the children that become ours when their parents end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{Signal, kill, killpg};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};
use trust_domains::plan::supervising::Exit;

use super::terminal::Terminal;

/// The program that runs, if one does. Only [`reap`](Self::reap) lets go of its process id: until then no other process can have it, and a signal reaches the
/// right one.
#[derive(Debug)]
pub(super) struct Program {
    running: Option<Pid>,
    terminal: Terminal,
    /// Whether what is left of its process group is killed when it ends: it is to start anew, or to be gone.
    sweep: bool,
}

impl Program {
    pub(super) fn new() -> Self {
        Self {
            running: None,
            terminal: Terminal::find(),
            sweep: false,
        }
    }

    /// Starts it in a process group of its own, with our standard input and outputs, and these variables.
    pub(super) fn start(&mut self, words: &[OsString], variables: &[(String, OsString)]) -> io::Result<()> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        (self.running, self.sweep) = (Some(pid), false);
        self.terminal.hand_to(pid);
        Ok(())
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, number: i32) {
        if let (Some(pid), Ok(signal)) = (self.running, Signal::try_from(number)) {
            let _gone = kill(nix_pid(pid), signal);
        }
    }

    /// Sends its process group a signal, and wakes it if it is stopped: who is asked to end must be able to. What is left when it has ended is killed.
    pub(super) fn signal_group(&mut self, signal: Signal) {
        self.sweep = true;
        if let Some(pid) = self.running {
            let _gone = killpg(nix_pid(pid), signal);
            let _gone = killpg(nix_pid(pid), Signal::SIGCONT);
        }
    }

    /// Takes in every child that ended, of whatever process group, and returns how the program ended if it was among them.
    pub(super) fn reap(&mut self) -> Option<Exit> {
        let mut ended = None;
        self.sweep_group();
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) if Some(pid) == self.running => ended = self.look_at(pid, status).or(ended),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return ended,
            }
        }
    }

    fn look_at(&mut self, pid: Pid, status: WaitStatus) -> Option<Exit> {
        if status.stopped() {
            if self.terminal.stop_with(pid) {
                let _gone = killpg(nix_pid(pid), Signal::SIGCONT);
            }
            return None;
        }
        self.running = None;
        self.terminal.take_back();
        let code = status.exit_status().map(|code| Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)));
        code.or(status.terminating_signal().map(Exit::Signal))
    }

    /// Kills what is left of the group while the program's id is still held: afterwards another group could have it.
    fn sweep_group(&self) {
        let Some(pid) = self.running.filter(|_| self.sweep) else { return };
        let looked = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        if matches!(looked, Ok(Some(_))) {
            let _gone = killpg(nix_pid(pid), Signal::SIGKILL);
        }
    }
}

fn nix_pid(pid: Pid) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get())
}
