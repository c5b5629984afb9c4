//! A year of operation: the rooms of a real server over a real store, on a clock moved by hand, with a fleet whose agents come and go.
//!
//! Agents call what the routes call, decide by the plans of `trust_domains` as the agent does, and verify by its verifier. What must hold is checked at
//! every step, in `checks.rs`; a failure names the seed, and the same seed brings the same year.

mod agent;
mod believed;
mod chance;
mod checks;
mod credential;
mod federated;
mod membership;
mod partners;
mod plot;
mod running;
mod wild_clock;
mod world;
mod years;
