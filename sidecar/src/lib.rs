//! What stands beside a program that knows nothing of SPIFFE.
//!
//! It takes an identity over the Workload API as any workload does, and has no rights of its own: what it may hold is what the agent finds its process
//! entitled to. It never talks to a server, and never serves what has ended.
//!
//! ```no_run
//! use platform::clock::SystemClock;
//! use sidecar::source::X509Source;
//!
//! # async fn example() {
//! let source = X509Source::connect("/run/troth/workload.sock", SystemClock::shared());
//! let mut states = source.states();
//! while states.changed().await.is_ok() {
//!     if let Some(context) = &states.borrow_and_update().context {
//!         println!("{} until {}", context.default_svid().spiffe_id(), context.default_svid().not_after());
//!     }
//! }
//! # }
//! ```

pub mod contents;
pub mod proxy;
pub mod source;
pub mod supervisor;
