//! The process that a call is about: the caller itself on the sockets of workloads, another one where a broker asks for it.

use tonic::Status;
use trust_domains::SpiffeId;

use super::connection::Connection;
use crate::svids::Unserved;
use crate::workload::{AttestError, Caller};

/// A process whose identities are asked for: what ends the telling of them, and how it is told that there is nothing to tell.
pub(super) trait Subject: Send + Sync + 'static {
    /// Returns the process.
    fn process(&self) -> &Caller;

    /// Waits until nothing more may be told of it, and returns the last word.
    fn ending(&self) -> impl Future<Output = Status> + Send;

    /// Returns the status of a process that cannot be attested now.
    fn unattested(&self, error: &AttestError) -> Status;

    /// Returns the status of a process that no entry of this node matches.
    fn not_entitled(&self) -> Status;

    /// Returns the status of a process that is not entitled to the identity that is asked for (WAPI-11).
    fn not_granted(&self, asked: &SpiffeId) -> Status;

    /// Returns the status of a process that is given nothing now. It says nothing about entries that are not its own.
    fn unserved(&self, unserved: &Unserved) -> Status {
        match unserved {
            Unserved::Withdrawn { reason } => self.withdrawn(reason),
            denied if denied.is_denied() => self.not_entitled(),
            passing => Status::unavailable(passing.to_string()),
        }
    }

    /// Returns the status of any process on a node that is no member any more.
    fn withdrawn(&self, reason: &str) -> Status {
        Status::permission_denied(reason)
    }

    /// Refuses a process that is no longer the one that was taken hold of.
    fn check_unchanged(&self) -> Result<(), Status> {
        self.process().check_unchanged().map_err(|error| self.unattested(&error))
    }
}

/// The process that opened the connection.
impl Subject for Connection {
    fn process(&self) -> &Caller {
        self.peer()
    }

    async fn ending(&self) -> Status {
        self.closing().await;
        Status::unavailable("the agent is stopping")
    }

    /// One that is no longer the one that connected must connect again.
    fn unattested(&self, error: &AttestError) -> Status {
        tracing::debug!(pid = self.peer().pid(), error = %error, "workload could not be attested");
        match error {
            AttestError::Changed { .. } | AttestError::Exited => self.close(),
            AttestError::Deadline { .. } | AttestError::Unreadable { .. } | AttestError::Unseen => {}
        }
        Status::unavailable(error.to_string())
    }

    fn not_entitled(&self) -> Status {
        let pid = self.peer().pid();
        Status::permission_denied(format!(
            "no entry of this node matches this process; on the node, as its operator: troth explain --pid {pid}"
        ))
    }

    fn not_granted(&self, asked: &SpiffeId) -> Status {
        Status::permission_denied(format!("no entry of this node gives {asked} to this process"))
    }
}
