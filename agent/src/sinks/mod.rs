//! File sinks: an identity as files, for programs that cannot speak the Workload API.
//!
//! Deciding and doing are apart. [`trust_domains::delivery`] says what the files of a set are, from what the view of the cache and the tokens give; a
//! [`FileSink`] follows the identity and hands each whole set to [`platform::file_set`], which puts it in place and looks after it: in this process, or in a
//! helper with the rights of the sink's owner only.
//!
//! - A failure leaves what is in place, shows in the status and in health, and is tried again.
//! - What somebody changed in the directory is set right within seconds, without a change of the identity.
//! - A token that cannot be had holds nothing else up; one that ended is taken away.
//! - A commit is acknowledged when the files that show it are in place.

mod config;
mod contents;
mod error;
mod file_sink;
mod helper;
mod later;
mod password;
mod place;
mod share;
mod tokens;
mod writer;

pub use config::{FileSinkConfig, OnWithdraw, ParseOnWithdrawError, SinkContents, SinkToken};
pub use error::SinkError;
pub use file_sink::{FileSink, SinkSurroundings};
pub use helper::{HelperDuty, HelperError, Told};
pub(crate) use password::read as read_password;
pub use writer::WriteError;
