//! Metrics, health and probes: what an operator watches. Never in the way of identity.

mod health;
mod listener;
mod metrics;

pub use health::HealthHandle;
pub use listener::{ParseTelemetryListenError, TelemetryListen, serve_telemetry};
pub use metrics::Metrics;
