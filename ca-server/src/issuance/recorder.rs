//! The journal as issuance sees it.

use futures_util::future::BoxFuture;
use trust_domains::wire::audit::AuditEvent;

use crate::journal::{Journal, JournalError};

/// Takes the records without which no key is used.
pub trait Recorder: Send + Sync {
    /// Appends events, and returns the number of the last once all of them are durable.
    ///
    /// # Errors
    /// When one of them may not be on disk: nothing that they announce may be signed.
    fn append(&self, events: Vec<AuditEvent>) -> BoxFuture<'_, Result<u64, JournalError>>;
}

impl Recorder for Journal {
    fn append(&self, events: Vec<AuditEvent>) -> BoxFuture<'_, Result<u64, JournalError>> {
        Box::pin(Journal::append(self, events))
    }
}
