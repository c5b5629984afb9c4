//! A real server on loopback, in a temporary directory, with agents that speak to it over TLS.

mod admin;
mod aliases;
mod attackers;
mod attestation;
mod bundle_endpoint;
mod bundles;
mod federation;
mod issuing;
mod openapi;
mod partners;
mod restart;
mod revocations;
mod sync;
mod taint;
mod token_calls;
mod tokens;
mod wits;
mod world;
mod year;
