//! What a command has started, and what that has started: also those that made a session or group of their own.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::processes::{numbers, parent};

/// How many generations are looked for at most, so that a command which starts processes faster than they are stopped holds up nothing.
const GENERATIONS: usize = 64;

/// The processes below one process, each held by a pidfd: a signal reaches it or nobody.
///
/// Found is whoever has an unbroken line of living parents up to the command, or up to one that was found before. A child whose parent ended before the command's
/// time was over, and which left the command's group too, is the init process's by then and is not found.
#[derive(Debug, Default)]
pub(super) struct Descendants(BTreeMap<i32, OwnedFd>);

impl Descendants {
    /// Looks for those below `root`, which was not reaped yet. Each new one is stopped first if `Looking::Stopping`: a stopped one starts no others meanwhile.
    pub(super) fn look(&mut self, root: Pid, looking: Looking) {
        for _ in 0..GENERATIONS {
            let found = self.next_generation(root.as_raw_nonzero().get());
            if found.is_empty() {
                return;
            }
            for (pid, pidfd) in found {
                if looking == Looking::Stopping {
                    let _ended = pidfd_send_signal(&pidfd, Signal::STOP);
                }
                self.0.insert(pid, pidfd);
            }
        }
        tracing::warn!("a reload command starts processes faster than they are found");
    }

    /// Sends a signal to each that was found and still lives.
    pub(super) fn send(&self, signal: Signal) {
        for (pid, pidfd) in &self.0 {
            match pidfd_send_signal(pidfd, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => tracing::warn!(%pid, %error, "a process of a reload command could not be signalled"),
            }
        }
    }

    fn next_generation(&self, root: i32) -> Vec<(i32, OwnedFd)> {
        let Ok(numbers) = numbers() else { return Vec::new() };
        numbers.filter_map(|pid| Some((pid, self.hold_child(root, pid)?))).collect()
    }

    /// Takes hold of a process if it is a new child of one of these.
    fn hold_child(&self, root: i32, pid: i32) -> Option<OwnedFd> {
        if pid == root || self.0.get(&pid).is_some_and(lives) || !self.is_ours(root, parent(pid)?) {
            return None;
        }
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // Again now that it is held: the number may have been given to another in between. Should that be so, what is held has ended.
        self.is_ours(root, parent(pid)?).then_some(pidfd)
    }

    /// Returns whether a number is that of the command, or of one that was found; of that only while it lives, since later it may be another's.
    fn is_ours(&self, root: i32, pid: i32) -> bool {
        pid == root || self.0.get(&pid).is_some_and(lives)
    }
}

/// What happens to those that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    /// Nothing.
    Only,
    /// They are stopped.
    Stopping,
}

fn lives(pidfd: &OwnedFd) -> bool {
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    matches!(poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}
