//! Decisions, as the journal keeps them: who changed or was refused what, and why.

use std::sync::Arc;

use trust_domains::wire::audit::{AuditEvent, Decision};

use crate::issuance::Recorder;
use crate::journal::JournalError;

/// Who caused something, within which request.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Who: `local:uid:0`, a node's SPIFFE ID, `token:ID`, `server`.
    pub actor: String,
    /// The request's trace id, in hex.
    pub trace_id: String,
}

impl Cause {
    /// Returns a decision that this caller caused.
    #[must_use]
    pub fn decision(&self, action: &str, subject: impl ToString) -> Decision {
        Decision {
            action: action.to_owned(),
            subject: subject.to_string(),
            actor: self.actor.clone(),
            reason: None,
            trace_id: self.trace_id.clone(),
        }
    }
}

/// Takes decisions into the journal.
///
/// An operator's change is recorded before it is committed, as an issuance is before its signature: nothing is in the store that the journal does not have.
/// A record whose commit then fails is an attempt, and the attempt was made.
#[derive(Clone)]
pub struct DecisionLog {
    recorder: Arc<dyn Recorder>,
}

impl DecisionLog {
    /// Returns the log over a recorder.
    #[must_use]
    pub fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self { recorder }
    }

    /// Records decisions, and returns when they are durable.
    ///
    /// # Errors
    /// One of them may not be on disk.
    pub async fn record(&self, decisions: Vec<Decision>) -> Result<(), JournalError> {
        if decisions.is_empty() {
            return Ok(());
        }
        self.recorder.append(decisions.into_iter().map(AuditEvent::Decided).collect()).await.map(|_| ())
    }

    /// Records a refusal. The refusal stands whether or not it could be recorded.
    pub async fn record_refusal(&self, refusal: Decision) {
        if let Err(error) = self.record(vec![refusal]).await {
            tracing::warn!(%error, "a refusal could not be recorded");
        }
    }
}

impl std::fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecisionLog").finish_non_exhaustive()
    }
}
