//! Reload hooks: what makes a program read the files that were delivered to it.
//!
//! ```text
//! sink: files in place -> Reloader -> trust_domains::plan::reloading -> ReloadHook::perform -> acknowledged
//! ```
//!
//! [`trust_domains::plan::reloading`] says when a hook runs, the [`Reloader`] of a sink runs it, and each kind has a file: signals to processes, commands, systemd,
//! and HTTP requests. A probe makes a run count only when the service presents the new certificate.

mod command;
mod context;
mod counts;
mod error;
mod hook;
pub mod http;
mod permitted;
pub mod probe;
mod reloader;
pub mod signal;
pub mod systemd_unit;

pub use context::{HookContext, HookOwner, OwnerError};
pub use counts::ReloadCounts;
pub use error::HookError;
pub use hook::{Performed, ReloadAction, ReloadHook};
pub use reloader::Hooks;

pub(crate) use permitted::check as check_permitted;
pub(crate) use reloader::{Delivered, Deliveries, Reloader};

#[cfg(test)]
pub(crate) mod testing;
