//! The load program: the figures of the design, measured on real processes and compared within one run.
//!
//! Every figure starts a server, and agents where it needs them, of its own in a temporary directory, and ends them. What a process costs is
//! read from `/proc` of that process: what this program itself needs to ask is not in it.

mod bulk;
mod cached;
mod delivery;
mod fleet;
mod helpers;
mod issuing;
mod memory;
mod meter;
mod node;
mod partners;
mod proxy;
mod reload;
mod report;
mod revoke;
mod revoke_fleet;
mod sds;
mod subject;
mod taint;
mod tokens;
mod workload_api;

pub use report::{Figure, Report, Value};
pub use subject::{Effort, Subject};
