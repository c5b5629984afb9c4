//! The fetcher against real TLS servers on loopback.

mod addresses;
mod answers;
mod hostile;
mod http2;
pub(crate) mod issuing;
mod proxied;
mod redirects;
pub(crate) mod serving;
mod spiffe;
mod web;
mod world;
