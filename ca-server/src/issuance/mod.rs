//! Issuing certificates and tokens: authenticate, authorize, prepare, record, sign, answer.
//!
//! `docs/issuance.md` explains the order; the comments in `batch.rs` carry its numbers. Two rules hold it together: everything that can be refused is
//! refused before the key is touched, and the journal record is durable before the key is used. The stages are types: only [`prepare`] makes a
//! [`PreparedCertificate`](stages::PreparedCertificate), only the journal turns one into a [`Recorded`](recorded::Recorded), and only that one can be signed.

mod authorize;
mod batch;
mod caller;
mod challenges;
pub(crate) mod der;
pub mod error;
pub mod prepare;
pub(crate) mod profile;
pub mod recorded;
mod recorder;
mod server_identity;
mod service;
pub mod stages;
mod svid;
#[cfg(test)]
pub(crate) mod tests;
pub mod token_stages;
mod tokens;
mod wits;

pub(crate) use der::certificate as signed_der;

pub use caller::{AuthenticatedCaller, EntryLookup};
pub use error::{IssueError, RequestRefused};
pub use recorder::Recorder;
pub use server_identity::{ServerCredential, ServerIdentity, ServerIdentityError};
pub use service::{Issuance, IssuancePolicy};
pub use svid::{IssuedSvid, PreparedSvid};
pub use tokens::Mint;
pub use wits::MintWit;
