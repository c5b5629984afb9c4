//! HTTPS for anybody: TLS 1.2 and 1.3, no client certificate, bounded per source and in total; with a certificate from files, and another beside it by the host asked for.
//!
//! Who comes here is a stranger: a relying party that fetches public keys. Nothing that is served may depend on who asks.

#[cfg(test)]
mod attackers;
mod files;
mod limits;
mod names;
mod rate;
mod server;
mod sources;
#[cfg(test)]
mod tests;

pub use files::{CertificateFiles, FileIdentity, FileIdentityError, Look};
pub use limits::WebLimits;
pub use names::ChosenByName;
pub use rate::Rate;
pub use server::WebServer;
