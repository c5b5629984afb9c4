//! File sinks: an identity as PEM files, for programs that cannot speak the Workload API.
//!
//! [`platform::file_set`] puts the files in place; here it is decided what they are, and when.

mod contents;
mod file_sink;

pub use file_sink::{FileSink, FileSinkConfig, OnWithdraw, ParseOnWithdrawError, SinkSurroundings};
