//! Steps 4 and 5: what was recorded, and only that, is signed.
//!
//! A thing that was prepared has a key within reach and no way to it: its `sign` asks for a [`Permit`], and the only place that makes one is
//! [`Recorded`]. A [`Recorded`] in turn is made by the journal's word alone. Nothing here is `Clone`, and each step consumes what came before:
//! one record, one signature.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::timeout;
use trust_domains::wire::audit::AuditEvent;

use super::error::SignError;
use super::recorder::Recorder;
use crate::authority::KeyPlace;
use crate::journal::JournalError;

/// How many of a batch a key outside this process signs at once: enough to hide its latency, few enough for the sessions of a small token.
const LANES: usize = 4;

/// How long a key outside this process may take for its part of a batch: 125 signatures of a slow token. Whoever asked comes again.
const LONGEST_SIGNING: Duration = Duration::from_secs(20);

/// What is complete but for its signature.
pub trait Prepared: Sized + Send + 'static {
    /// What it is with the signature.
    type Signed: Send + 'static;

    /// Returns what the journal must hold before the key is used.
    fn event(&self) -> AuditEvent;

    /// Returns where the key is that signs it.
    fn key_place(&self) -> KeyPlace;

    /// Returns the name of that key, as errors have it.
    fn key_name(&self) -> String;

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
    /// Signs it. A key outside this process is waited for on a thread where waiting holds nobody up.
    ///
    /// # Errors
    /// When the key fails, or does not answer in time.
    pub async fn sign(self) -> Result<P::Signed, SignError> {
        match self.0.key_place() {
            KeyPlace::Here => self.sign_now(),
            KeyPlace::Elsewhere => {
                let name = self.0.key_name();
                answer(spawn_blocking(move || self.sign_now()), &name).await
            }
        }
    }

    fn sign_now(self) -> Result<P::Signed, SignError> {
        self.0.sign(Permit(()))
    }
}

/// Signs a batch, in its order. With a key in this process other tasks of the runtime have their turn after each slice.
///
/// # Errors
/// As [`Recorded::sign`]; the first failure ends the batch.
pub async fn sign_all<P: Prepared>(recorded: Vec<Recorded<P>>, slice: usize) -> Result<Vec<P::Signed>, SignError> {
    let Some(Recorded(first)) = recorded.first() else {
        return Ok(Vec::new());
    };
    match first.key_place() {
        KeyPlace::Here => sign_here(recorded, slice).await,
        KeyPlace::Elsewhere => {
            let name = first.key_name();
            sign_elsewhere(recorded, &name).await
        }
    }
}

async fn sign_here<P: Prepared>(recorded: Vec<Recorded<P>>, slice: usize) -> Result<Vec<P::Signed>, SignError> {
    let mut signed = Vec::with_capacity(recorded.len());
    for (position, thing) in recorded.into_iter().enumerate() {
        signed.push(thing.sign_now()?);
        if position % slice == slice - 1 {
            yield_now().await;
        }
    }
    Ok(signed)
}

async fn sign_elsewhere<P: Prepared>(mut recorded: Vec<Recorded<P>>, name: &str) -> Result<Vec<P::Signed>, SignError> {
    let (mut signed, a_lane) = (Vec::with_capacity(recorded.len()), recorded.len().div_ceil(LANES));
    let mut lanes = Vec::with_capacity(LANES);
    while !recorded.is_empty() {
        let rest = recorded.split_off(a_lane.min(recorded.len()));
        let lane = std::mem::replace(&mut recorded, rest);
        lanes.push(spawn_blocking(move || lane.into_iter().map(Recorded::sign_now).collect::<Result<Vec<_>, _>>()));
    }
    for lane in lanes {
        signed.append(&mut answer(lane, name).await?);
    }
    Ok(signed)
}

async fn answer<T>(signing: JoinHandle<Result<T, SignError>>, name: &str) -> Result<T, SignError> {
    match timeout(LONGEST_SIGNING, signing).await {
        Ok(Ok(signed)) => signed,
        Ok(Err(_)) | Err(_) => Err(SignError {
            issuer: name.to_owned(),
            source: rcgen::Error::RemoteKeyError,
        }),
    }
}
