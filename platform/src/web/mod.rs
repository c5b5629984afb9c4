//! HTTPS for anybody: TLS 1.2 and 1.3 with a certificate from files, no client certificate, bounded per source and in total.
//!
//! Who comes here is a stranger: a relying party that fetches public keys. Nothing that is served may depend on who asks.

mod files;
mod server;
mod sources;
#[cfg(test)]
mod tests;

pub use files::{CertificateFiles, FileIdentity, FileIdentityError, Look};
pub use server::{WebLimits, WebServer};
