//! Supervises a program that has never heard of SPIFFE: its credentials are files that are always fresh (`troth run`).
//!
//! What is done when is [`trust_domains::plan::supervising`]; here it is done. The supervisor has no rights of its own: the identity is that of this process.

mod change;
mod child;
mod choice;
mod directory;
mod environment;
mod error;
mod given;
mod keys;
mod reload;
mod run;
mod signals;
mod terminal;
mod tokens;

pub use choice::{Choice, NotAmong};
pub use error::RunError;
pub use reload::ReloadBy;
pub use run::{Options, run};
pub use signals::{ParseSignalError, SignalName};
pub use tokens::{ParseTokenSpecError, TokenSpec};
