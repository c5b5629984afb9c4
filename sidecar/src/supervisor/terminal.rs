//! The terminal: the program has it in the foreground, and this process is as good as not there.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::{getpgrp, getpid};
use rustix::process::Pid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal on standard input, if this process began in its foreground.
#[derive(Debug)]
pub(super) struct Terminal {
    is_ours: bool,
}

impl Terminal {
    /// Looks whether there is one.
    pub(super) fn find() -> Self {
        Self { is_ours: is_foreground() }
    }

    /// Lets a process group have it.
    pub(super) fn hand_to(&self, group: Pid) {
        if self.is_ours {
            set_foreground(group);
        }
    }

    /// Lets a process group have it if it was brought back to this process: `fg` means the program, also when it went on in the background meanwhile.
    pub(super) fn pass_on_to(&self, group: Pid) {
        if is_foreground() {
            self.hand_to(group);
        }
    }

    /// Takes it back.
    pub(super) fn take_back(&self) {
        if let Some(own) = own_group() {
            self.hand_to(own);
        }
    }

    /// Stops this process too when the program was stopped at the terminal, so that the shell has the job stopped; returns when it goes on, with the program in
    /// the foreground again if that is where it goes on. As process 1 nothing stops, and the program goes on at once.
    pub(super) fn stop_with(&self, group: Pid) -> bool {
        if !self.is_ours {
            return false;
        }
        // A program that reads before it was handed the terminal is stopped too: then it only has to go on.
        if !is_foreground() {
            self.take_back();
            let _stopped = kill(getpid(), Signal::SIGSTOP);
        }
        if is_foreground() {
            self.hand_to(group);
        }
        true
    }
}

fn is_foreground() -> bool {
    own_group().is_some_and(|own| tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == own))
}

/// Returns the process group of this process. Process 1 of a PID namespace may be in one from outside of it, which has no number there: the kernel gives 0.
fn own_group() -> Option<Pid> {
    Pid::from_raw(getpgrp().as_raw())
}

/// Who is in the background and moves the foreground is sent SIGTTOU, unless this thread does not take it now. A terminal that hung up needs nothing.
fn set_foreground(group: Pid) {
    let mut one = SigSet::empty();
    one.add(Signal::SIGTTOU);
    let before = one.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let _moved = tcsetpgrp(std::io::stdin(), group);
    if let Ok(before) = before {
        let _restored = before.thread_set_mask();
    }
}
