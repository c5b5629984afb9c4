//! What systemd, or another service manager that speaks as it does, hands over and hears: sockets, readiness, status, a sign of life.
//!
//! Both directions go by environment variables that the manager sets (sd_listen_fds(3), sd_notify(3)). Without them nothing here does anything.

mod handed;
mod notifier;

pub use handed::{HandedSocketError, HandedSockets};
pub use notifier::{Notifier, Probe};
