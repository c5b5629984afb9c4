//! Mutually authenticated TLS between our own processes: TLS 1.3 only, never resumed; and to other people's clients, with TLS 1.2 too.
//!
//! A resumed session would skip the verification of the peer against today's bundle, so there are no tickets, no session cache and no early data.

mod accept;
mod admission;
mod client_key;
mod config;
mod connect;
mod mutual;
mod verifier;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use accept::pause_after;
pub use accept::{ConnectionInfo, TlsServer};
pub use admission::AcceptLimits;
pub use client_key::{ClientKey, ClientKeyError};
pub use config::{TlsConfigError, TlsIdentity, client_config, provider, server_config};
pub use connect::{ConnectError, Connection, connect};
pub use mutual::{PeerBundles, PeerVerifier, mutual_server_config};
pub use verifier::{NodeClientVerifier, ServerTrust, ServerVerifier};
