//! The node agent: proves which workload is asking, hands it its credentials and rotates them.
//!
//! It never decides who is entitled to what, never holds an authority's key, and never sends an expired SVID.

pub mod admin;
pub mod config;
pub mod endpoints;
mod issuing;
pub mod jwt_svids;
pub mod metrics;
pub mod node;
pub mod reload;
pub mod run;
pub mod sinks;
pub mod svids;
pub mod sync;
pub mod wit_svids;
pub mod workload;

pub use endpoints::{broker_api, sds_api, workload_api};
