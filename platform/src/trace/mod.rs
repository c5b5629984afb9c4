//! The edge of our HTTP listeners: trace ids, problem documents, and what handlers take in.
//!
//! A router that is served by this crate goes through [`edge`]; its handlers take [`ApiJson`], [`ApiQuery`] and [`ApiPath`] and return
//! `Result<_, ApiError>`.

mod context;
mod extract;
mod layer;
mod problem;

pub use context::TraceContext;
pub use extract::{ApiJson, ApiPath, ApiQuery, BODY_DEADLINE, DEFAULT_BODY_LIMIT};
pub use layer::{TRACE_ID, current_trace_id, edge};
pub use problem::{ApiError, problem_response};
