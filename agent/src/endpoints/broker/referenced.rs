//! The process that a broker refers to, held from the moment that its number was read.

use std::sync::Arc;

use tonic::Status;
use trust_domains::SpiffeId;

use super::grpc::{Reason, refusal};
use super::peer::Broker;
use crate::endpoints::connection::Connection;
use crate::endpoints::subject::Subject;
use crate::workload::{AttestError, Caller, Exit};

/// A process, and the connection of the broker that it is spoken of on. Who calls is never what is attested here.
pub(super) struct Referenced {
    process: Caller,
    exit: Exit,
    connection: Arc<Connection<Broker>>,
}

impl Referenced {
    /// Takes hold of the process that has this number now.
    pub(super) fn resolve(pid: i32, connection: Arc<Connection<Broker>>) -> Result<Self, Status> {
        let held = Caller::of_pid(pid).and_then(|process| Ok((process.exit()?, process)));
        let (exit, process) = held.map_err(|error| status_of(&error, pid))?;
        Ok(Self { process, exit, connection })
    }

    /// Returns the broker.
    pub(super) fn broker(&self) -> &Broker {
        self.connection.peer()
    }
}

impl Subject for Referenced {
    fn process(&self) -> &Caller {
        &self.process
    }

    async fn ending(&self) -> Status {
        tokio::select! {
            biased;
            () = self.connection.closing() => match self.broker().check_trust() {
                Ok(()) => Status::unavailable("the agent is stopping"),
                Err(untrusted) => untrusted,
            },
            () = self.exit.ended() => status_of(&AttestError::Exited, self.process.pid()),
        }
    }

    fn unattested(&self, error: &AttestError) -> Status {
        status_of(error, self.process.pid())
    }

    fn not_entitled(&self) -> Status {
        let pid = self.process.pid();
        let message = format!("no entry of this node matches process {pid}; on the node, as its operator: troth explain --pid {pid}");
        refusal(Reason::NotEntitled, message, Some(pid))
    }

    fn withdrawn(&self, reason: &str) -> Status {
        refusal(Reason::NotEntitled, reason.to_owned(), Some(self.process.pid()))
    }

    fn not_granted(&self, asked: &SpiffeId) -> Status {
        let pid = self.process.pid();
        refusal(Reason::NotEntitled, format!("no entry of this node gives {asked} to process {pid}"), Some(pid))
    }
}

/// Returns the status of a process that cannot be looked at: one that is gone or hidden cannot be found, any other may be asked for again.
fn status_of(error: &AttestError, pid: i32) -> Status {
    match error {
        AttestError::Exited | AttestError::Unseen => refusal(Reason::NotFound, format!("process {pid}: {error}"), Some(pid)),
        AttestError::Changed { .. } | AttestError::Deadline { .. } | AttestError::Unreadable { .. } => {
            tracing::debug!(pid, error = %error, "a referenced process could not be attested");
            Status::unavailable(format!("process {pid}: {error}"))
        }
    }
}
