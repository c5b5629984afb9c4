//! HTTP over a Unix socket: the admin APIs, for the operator on the machine.

mod client;
mod server;

#[cfg(test)]
mod tests;

pub use client::UnixHttpClient;
pub use server::{UnixLimits, serve_unix};
