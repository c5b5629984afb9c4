//! The processes of a command.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use crate::workload::{AttestError, Exit};

/// The process group of a command, killed when this is dropped before the command has ended.
///
/// Its number stays this group's until the leader is reaped, which is not done before the last signal.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
    exit: Exit,
}

impl Group {
    /// Takes hold of the group of a child that leads one and was not waited for yet.
    pub(super) fn of(child: &Child) -> Result<Self, AttestError> {
        let leader = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).ok_or(AttestError::Exited)?;
        Ok(Self {
            leader: Some(leader),
            exit: Exit::of_child(leader)?,
        })
    }

    /// Waits until the leader has ended; it is not reaped by that.
    pub(super) async fn leader_ended(&self) {
        self.exit.ended().await;
    }

    pub(super) fn terminate(&self) {
        self.send(Signal::TERM);
    }

    pub(super) fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// The command has ended by itself, or was killed: what it left in the background is its own affair.
    pub(super) fn forget(&mut self) {
        self.leader = None;
    }

    fn send(&self, signal: Signal) {
        let Some(leader) = self.leader else { return };
        match kill_process_group(leader, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(error = %error, "the processes of a reload command could not be signalled"),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
