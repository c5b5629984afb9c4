//! `troth proxy`: mTLS in front of a program without TLS, and on behalf of one.
//!
//! A listener is inbound (peers come over mTLS, and a local program gets plain octets) or outbound (a local program comes with plain octets, and a peer is reached over
//! mTLS). Each connection is opened with the credentials and bundles of that moment, and ends with them: what is believed no more closes what is open.
//! Nothing is ever resumed, and what the peer sends is never read but passed on.

mod address;
mod config;
mod connection;
mod dial;
mod direction;
mod identity;
mod listener;
mod metrics;
mod open;
mod peer;
mod places;
mod raw;
mod record;
mod relay;
mod run;
mod socket;
mod tls;
mod tls_version;

pub use address::{ListenAddress, ParseAddressError, TargetAddress};
pub use config::{ListenerConfig, ProxyConfig};
pub use direction::{Direction, ParseDirectionError};
pub use raw::{RawListener, RawProxyConfig};
pub use run::{ProxyError, run};
pub use tls_version::{ParseTlsVersionError, TlsVersion};
