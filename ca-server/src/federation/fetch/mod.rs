//! One HTTPS GET of a partner's document: a bundle, a Bundle Map or a revocation list.
//!
//! Whoever answers may be hostile, so everything is bounded: the time, the octets, the headers, the redirects, the addresses that are connected to and
//! what an error repeats. The client shows no certificate, sends no credentials and no cookies, remembers no redirect, and takes no proxy from its
//! environment. It believes an endpoint in one of three ways ([`EndpointTrust`]) and never falls back from one to another (FED-09).
//!
//! Nothing here knows of stores, partners or schedules.

mod address;
mod body;
mod budget;
mod dial;
mod error;
mod exchange;
mod fetcher;
mod limits;
mod proxy;
mod said;
mod settings;
mod target;
mod tls;
mod verifier;
mod web_roots;

#[cfg(test)]
pub(crate) mod tests;

pub use address::AddressKind;
pub use error::FetchError;
pub use fetcher::Fetcher;
pub use limits::FetchLimits;
pub use proxy::{ParseProxyUrlError, ProxyUrl};
pub use said::Said;
pub use settings::FetchSettings;
pub use target::{Content, EndpointTrust, FetchTarget, Fetched};
pub use web_roots::WebRootsError;
