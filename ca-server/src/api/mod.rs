//! The APIs: what agents ask over mutually authenticated TLS, and operators over the local socket. Thin: they read, ask the rooms behind, and answer.

pub mod admin;
mod admission;
pub mod node;
pub mod openapi;
pub mod public;
