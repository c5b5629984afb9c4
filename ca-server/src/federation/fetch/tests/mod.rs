//! The fetcher against real TLS servers on loopback.

mod addresses;
mod answers;
mod hostile;
mod issuing;
mod proxied;
mod redirects;
mod serving;
mod spiffe;
mod web;
mod world;
