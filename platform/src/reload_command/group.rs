//! The processes of a command.

use rustix::process::{Pid, Signal, kill_process_group};

use super::descendants::{Descendants, Looking};

/// The process group of a command and what left the group.
///
/// Its number stays this group's until the leader is reaped, which is not done before the last signal.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
    descendants: Descendants,
}

impl Group {
    /// Takes hold of the group of a child that leads one and was not waited for yet.
    pub(super) fn of(leader: Option<Pid>) -> Self {
        Self {
            leader,
            descendants: Descendants::default(),
        }
    }

    /// Asks all of them to end. Who is found here is killed later even if its parent has ended by then.
    pub(super) fn terminate(&mut self) {
        let Some(leader) = self.leader else { return };
        self.descendants.look(leader, Looking::Only);
        send(leader, Signal::TERM);
        self.descendants.send(Signal::TERM);
    }

    pub(super) fn kill(&mut self) {
        let Some(leader) = self.leader else { return };
        // Stopped from the top: what is stopped starts no others, so those below it are all found.
        send(leader, Signal::STOP);
        self.descendants.look(leader, Looking::Stopping);
        send(leader, Signal::KILL);
        self.descendants.send(Signal::KILL);
    }

    /// The command has ended by itself, or was killed: what it left in the background is its own affair.
    pub(super) fn forget(&mut self) {
        self.leader = None;
    }
}

fn send(leader: Pid, signal: Signal) {
    match kill_process_group(leader, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(error = %error, "the processes of a reload command could not be signalled"),
    }
}
