//! The key that seals the agent's directory: in the file `data-key`, wrapped by the key source.

use std::path::Path;

use platform::files;
use platform::sealing::{DataKey, KeySourceError, KeySourceKind, KeySourceSpec, Opening, WrappedKey};

use super::sealed::{SCOPE, SealedError};

/// The longest wrapped data key that is read.
const LONGEST_WRAPPED_KEY: usize = 4_096;

/// Opens the data key of a directory, or makes the first one. What was wrapped by one kind of source is never asked of another.
///
/// This may wait for a person or a token, and blocks its thread meanwhile.
pub(super) fn open(directory: &Path, source: &KeySourceSpec) -> Result<DataKey, SealedError> {
    let wrapped_at = directory.join("data-key");
    match files::read_limited(&wrapped_at, LONGEST_WRAPPED_KEY) {
        Ok(content) => unwrap(&WrappedKey::from_file(&content), source),
        Err(error) if error.is_not_found() => {
            let is_new_file = source.key_file().is_some_and(|file| !file.exists());
            let opened = source.open(Opening::New)?;
            if is_new_file {
                tracing::info!(key_source = %source, "made the key file that seals this agent's data directory");
            }
            let key = DataKey::generate().map_err(KeySourceError::from)?;
            let wrapped = opened.wrap_key(SCOPE, &key)?;
            files::write_durable(&wrapped_at, &wrapped.to_file(), 0o600)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

fn unwrap(wrapped: &WrappedKey, source: &KeySourceSpec) -> Result<DataKey, SealedError> {
    refuse_other_kind(wrapped.kind, source)?;
    let opened = source.open(Opening::Existing)?;
    Ok(opened.unwrap_key(SCOPE, wrapped)?)
}

/// Before a person is asked for a passphrase, or a token for a PIN, that would not help.
fn refuse_other_kind(wrapped_by: KeySourceKind, source: &KeySourceSpec) -> Result<(), KeySourceError> {
    match source.kind() == wrapped_by {
        true => Ok(()),
        false => Err(KeySourceError::OtherKind {
            wrapped_by,
            given: source.kind(),
        }),
    }
}
