//! What a command has started, and what that has started: also those that made a session or group of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
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

/// Returns the parent of a process: the second field after its name, which is in brackets and may hold some itself (proc_pid_stat(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|octet| *octet == b')')?.checked_add(1)?;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_read() {
        let this = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent(this), rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()));
        assert_eq!(parent(-1), None);
    }
}
