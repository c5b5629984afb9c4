//! The stream from the server: entries and bundles as they change, and acknowledgements back.

mod acknowledge;
mod assembly;
mod link;
mod stream;

pub use link::Link;

pub(crate) use platform::backoff::{Backoff, jitter};
pub(crate) use stream::Sync;
