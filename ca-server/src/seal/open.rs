//! Opening a store with the source that is configured, which may be a person or a token.

use std::sync::Arc;

use platform::sealing::{KeySource, KeySourceError, KeySourceSpec, Opening};

use super::{OpenStoreError, OpenedStore, kind_of_source, open_store};
use crate::store::Store;

/// Opens a key source on a thread where waiting for a person or a token holds nobody up.
///
/// # Errors
/// [`KeySourceError`].
pub async fn open_source(spec: &KeySourceSpec, opening: Opening) -> Result<Arc<dyn KeySource>, KeySourceError> {
    let spec = spec.clone();
    let opened = tokio::task::spawn_blocking(move || spec.open(opening)).await;
    opened.unwrap_or(Err(KeySourceError::PromptCancelled))
}

/// Opens a store with the source that is configured. One of another kind than wrapped the data key is refused before it is asked for anything.
///
/// # Errors
/// As [`open_store`].
pub async fn open_with(store: &dyn Store, spec: &KeySourceSpec) -> Result<OpenedStore, OpenStoreError> {
    let wrapped_by = kind_of_source(store).await?;
    if wrapped_by != spec.kind() {
        return Err(KeySourceError::OtherKind {
            wrapped_by,
            given: spec.kind(),
        }
        .into());
    }
    let source = open_source(spec, Opening::Existing).await?;
    open_store(store, source.as_ref()).await
}
