//! The way in without the key source: the data key is also sealed to the recovery key, and whoever holds that wraps it anew.

use platform::sealing::{KeySource, KeySourceError, RecoveryKey, RecoveryPublicKey, Sealer};
use thiserror::Error;
use trust_domains::TrustDomain;
use trust_domains::problem::{Code, Coded};

use super::{DataKeyRecord, OpenStoreError, SealedRecords, data_key_place, recovery_context};
use crate::store::{Item, Write};

/// Returns whose store these records are, and the public half of the recovery key that it is sealed to beside its key source.
///
/// # Errors
/// When there is no record of a data key among them, or it is of another format.
pub fn recovery_of(items: &[Item]) -> Result<(TrustDomain, Option<RecoveryPublicKey>), OpenStoreError> {
    let place = data_key_place();
    let item = items.iter().find(|item| item.key == place).ok_or(OpenStoreError::NotInitialised)?;
    let record = DataKeyRecord::read(&item.value)?;
    Ok((record.trust_domain, record.recovery.map(|recovery| recovery.public_key)))
}

/// Opens a data key record with the recovery key, and wraps it for another key source; returns the write that keeps it and the records it seals.
///
/// # Errors
/// When the record is of another format or was made without this recovery key, or the key source does not wrap.
pub fn rewrap_recovered(value: &[u8], recovery: &RecoveryKey, key_source: &dyn KeySource) -> Result<(Write, SealedRecords), RecoverError> {
    let record = DataKeyRecord::read(value)?;
    let sealed = record.recovery.as_ref().ok_or(RecoverError::NotSealedToIt)?;
    let data_key = recovery.open_key(&recovery_context(&record.trust_domain), &sealed.data_key.0);
    let data_key = data_key.map_err(|_| RecoverError::NotSealedToIt)?;
    let wrapped = key_source.wrap_key(record.trust_domain.as_str(), &data_key).map_err(RecoverError::KeySource)?;
    let rewrapped = record.wrapped_as(wrapped);
    let stored = serde_json::to_vec(&rewrapped).map_err(|_| OpenStoreError::Damaged)?;
    let records = SealedRecords::new(Sealer::new(&rewrapped.trust_domain, &rewrapped.key_id, data_key));
    Ok((Write::Put(data_key_place(), stored.into()), records))
}

/// The data key of a store cannot be recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The new key source does not take it.
    #[error("the new key source cannot be used")]
    KeySource(#[source] KeySourceError),
    /// The data key is sealed to another recovery key, or to none.
    #[error("the data key is not sealed to this recovery key")]
    NotSealedToIt,
    /// The record of the data key cannot be read.
    #[error(transparent)]
    Record(#[from] OpenStoreError),
}

impl Coded for RecoverError {
    fn code(&self) -> Code {
        match self {
            Self::KeySource(error) => error.code(),
            Self::NotSealedToIt => Code::RecoveryKeyWrong,
            Self::Record(error) => error.code(),
        }
    }
}
