//! The wire types of Troth's own API: what agents and operators exchange with the server, as JSON.
//!
//! Both ends parse through the same domain types, so a value that arrived is a valid one.

pub mod admin;
pub mod agent;
pub mod audit;
pub mod authorities;
pub mod bundles;
pub mod crls;
pub mod encoding;
pub mod federation;
pub mod node;
mod schema;
pub mod standings;
pub mod tokens;
pub mod upstreams;
