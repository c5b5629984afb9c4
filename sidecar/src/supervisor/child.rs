//! The program, and the children that become ours when their parents end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::wait::{Id, WaitPidFlag};
use platform::inherited::Inherited;
use platform::processes::{numbers, parent};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, kill_process_group, waitid};
use rustix_libc_wrappers::process::SignalExt as _;
use trust_domains::plan::supervising::Exit;

use super::terminal::Terminal;

/// How a child that ended is looked at: it keeps its number.
const LOOK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// How it is taken in.
const TAKE: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG);

/// The program that runs, if one does. Only [`reap`](Self::reap) lets go of its process id: until then no other process can have it, and a signal reaches the
/// right one.
#[derive(Debug)]
pub(super) struct Program {
    running: Option<Pid>,
    terminal: Terminal,
    /// What this process was started with for it.
    inherited: Inherited,
    /// Whether what is left of its process group is killed when it ends: it is to start anew, or to be gone.
    sweep: bool,
}

impl Program {
    pub(super) fn new(inherited: Inherited) -> Self {
        Self {
            running: None,
            terminal: Terminal::find(),
            inherited,
            sweep: false,
        }
    }

    /// Starts it in a process group of its own, with our standard input and outputs, what we inherited, and these variables.
    pub(super) fn start(&mut self, words: &[OsString], variables: &[(String, OsString)]) -> io::Result<()> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = self.inherited.lend(|| command.spawn())?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        (self.running, self.sweep) = (Some(pid), false);
        self.terminal.hand_to(pid);
        Ok(())
    }

    /// Returns its process id while it runs.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.running
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, number: i32) {
        if let (Some(pid), Some(signal)) = (self.running, Signal::from_raw(number)) {
            if signal == Signal::CONT {
                self.terminal.pass_on_to(pid);
            }
            let _gone = kill_process(pid, signal);
        }
    }

    /// Sends its process group a signal, and wakes it if it is stopped: who is asked to end must be able to. What is left when it has ended is killed.
    pub(super) fn signal_group(&mut self, signal: Signal) {
        self.sweep = true;
        if let Some(pid) = self.running {
            let _gone = kill_process_group(pid, signal);
            let _gone = kill_process_group(pid, Signal::CONT);
        }
    }

    /// Takes in every child that ended, of whatever process group, but for `kept`, which another part waits for. Returns how the program ended if it was among
    /// them.
    ///
    /// Each is looked at before it is taken in: a program that ends in the middle of this keeps its number too until its group is swept.
    pub(super) fn reap(&mut self, kept: Option<Pid>) -> Option<Exit> {
        self.follow_stop();
        let mut ended = self.reap_program();
        while let Some(pid) = next_ended(kept) {
            if Some(pid) == self.running {
                ended = self.reap_program().or(ended);
            } else if !matches!(waitid(WaitId::Pid(pid), TAKE), Ok(Some(_))) {
                break;
            }
        }
        ended
    }

    fn reap_program(&mut self) -> Option<Exit> {
        let pid = self.running?;
        waitid(WaitId::Pid(pid), LOOK).ok()??;
        if self.sweep {
            // While the program's id is still held: afterwards another group could have it.
            let _gone = kill_process_group(pid, Signal::KILL);
        }
        let status = waitid(WaitId::Pid(pid), TAKE).ok()??;
        self.running = None;
        self.terminal.take_back();
        exit_of(&status)
    }

    /// Stops with the program when it was stopped at the terminal, and lets it go on when this process does.
    fn follow_stop(&self) {
        let Some(pid) = self.running else { return };
        let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        if matches!(stopped, Ok(Some(_))) && self.terminal.stop_with(pid) {
            let _gone = kill_process_group(pid, Signal::CONT);
        }
    }
}

fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    let code = status.exit_status().map(|code| Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)));
    code.or(status.terminating_signal().map(Exit::Signal))
}

/// Returns a child that has ended and was not taken in, and is not the one that another part waits for.
fn next_ended(kept: Option<Pid>) -> Option<Pid> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match nix::sys::wait::waitid(Id::All, look) {
        Ok(status) => {
            let first = Pid::from_raw(status.pid()?.as_raw())?;
            if Some(first) == kept { search_ended(kept) } else { Some(first) }
        }
        // One that a real-time signal ended: there is no name for that signal, so it is not told which.
        Err(nix::errno::Errno::EINVAL) => search_ended(kept),
        Err(_) => None,
    }
}

/// The same by all processes of the machine, for when the first is not to be taken in, or not told.
fn search_ended(kept: Option<Pid>) -> Option<Pid> {
    let this = getpid().as_raw_nonzero().get();
    let children = numbers().ok()?.filter(|pid| parent(*pid) == Some(this)).filter_map(Pid::from_raw);
    let mut ended = children.filter(|pid| Some(*pid) != kept && matches!(waitid(WaitId::Pid(*pid), LOOK), Ok(Some(_))));
    ended.next()
}
