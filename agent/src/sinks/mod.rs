//! File sinks: an identity as PEM files, for programs that cannot speak the Workload API.
//!
//! ```text
//! DIR/                              a real directory; neither it nor its parents can be written by others
//! DIR/..data -> ..generation-N      replaced by one rename: the whole set changes at once
//! DIR/..generation-N/               written and synced before the link leads to it
//!     svid.pem  svid_key.pem  bundle.pem
//! DIR/svid.pem -> ..data/svid.pem   and so on: never changed
//! ```
//!
//! A reader of one file opens it by its name. A reader of several opens the directory `DIR/..data` once and reads them in it: then key and
//! certificate always belong together. The generation before the current one stays until the next change, for readers that are in it.
//! Owner, group and modes are set on each generation, so whatever happened to the last one is undone. What a crash left behind is found by
//! its exact name and removed; nothing else in the directory is touched.

mod contents;
mod directory;
mod error;
mod file_sink;
mod generation;
mod ownership;

pub use error::SinkError;
pub use file_sink::{FileSink, FileSinkConfig, OnWithdraw, ParseOnWithdrawError};
pub use ownership::{KeyMode, ParseKeyModeError};
