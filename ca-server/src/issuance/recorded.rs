//! Steps 4 and 5: what was recorded, and only that, is signed.
//!
//! A thing that was prepared has a key within reach and no way to it: its `sign` asks for a [`Permit`], and the only place that makes one is
//! [`Recorded::sign`]. A [`Recorded`] in turn is made by the journal's word alone. Nothing here is `Clone`, and each step consumes what came before:
//! one record, one signature.

use trust_domains::wire::audit::AuditEvent;

use super::error::SignError;
use super::recorder::Recorder;
use crate::journal::JournalError;

/// What is complete but for its signature.
pub trait Prepared: Sized {
    /// What it is with the signature.
    type Signed;

    /// Returns what the journal must hold before the key is used.
    fn event(&self) -> AuditEvent;

    /// Signs it.
    ///
    /// # Errors
    /// When the key fails.
    fn sign(self, permit: Permit) -> Result<Self::Signed, SignError>;
}

/// Says that there is a durable record. It cannot be made outside this file.
#[derive(Debug)]
pub struct Permit(());

/// Something whose record is durable: the only thing that can be signed.
#[derive(Debug)]
pub struct Recorded<P>(P);

/// Records what is about to be signed; all of it or nothing.
///
/// # Errors
/// When the journal does not take the records: what was prepared ends with this call, unsigned.
pub async fn record<P: Prepared>(recorder: &dyn Recorder, prepared: Vec<P>) -> Result<Vec<Recorded<P>>, JournalError> {
    if prepared.is_empty() {
        return Ok(Vec::new());
    }
    recorder.append(prepared.iter().map(Prepared::event).collect()).await?;
    Ok(prepared.into_iter().map(Recorded).collect())
}

/// Records one thing that is about to be signed.
///
/// # Errors
/// As [`record`].
pub async fn record_one<P: Prepared>(recorder: &dyn Recorder, prepared: P) -> Result<Recorded<P>, JournalError> {
    recorder.append(vec![prepared.event()]).await?;
    Ok(Recorded(prepared))
}

impl<P: Prepared> Recorded<P> {
    /// Signs it.
    ///
    /// # Errors
    /// When the key fails.
    pub fn sign(self) -> Result<P::Signed, SignError> {
        self.0.sign(Permit(()))
    }
}
