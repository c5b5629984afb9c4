//! Troth's certificate authority: store, registry, authorities, issuance, journal, attestation and API.
//!
//! A library: `troth server init` and `troth server run` are [`init::init`] and `server::run`. It refuses to sign what it has not recorded, and to
//! record what it has not authorized.

pub mod api;
pub mod attestation;
pub mod authority;
pub mod backup;
pub mod config;
pub mod decisions;
pub mod federation;
pub mod init;
pub mod issuance;
pub mod journal;
pub mod limits;
pub mod metrics;
pub mod registry;
pub mod rekey;
pub mod revocation;
pub mod seal;
pub mod server;
pub mod store;
