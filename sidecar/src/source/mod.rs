//! The one client of the Workload API: what the agent said, read and verified as a workload should.
//!
//! [`WorkloadClient`] asks once; [`X509Source`] keeps asking. Both give values that were verified: the chain against the bundle beside it, the key against the
//! certificate, a token against the keys of its trust domain. A message with anything amiss in it is refused whole (WAPI-07, WAPI-09).

mod bundles;
mod client;
mod context;
mod error;
mod follow;
mod token;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use bundles::{BundleSet, JwtKeys};
pub use client::{KeyUpdates, Updates, WorkloadClient};
pub use context::{HeldSvid, X509Context};
pub use error::{InvalidMessage, SourceError};
pub use follow::{SourceState, X509Source};
pub use token::HeldToken;

pub(crate) use follow::{FIRST_WITHIN, between_attempts};
