//! Commands that make a program read its files: the agent runs them for sinks, and `troth run` for the program that it supervises.
//!
//! A command runs in `/`, with an environment of its own, nothing to read, and in its own process group. What it says goes to the log, line by line and
//! bounded. When its time is over the whole group, and whoever left it, gets TERM, and KILL a little later; the process that was started is never left a zombie.

mod descendants;
mod error;
mod group;
mod output;
mod running;
mod settings;
mod start;

use std::time::Duration;

pub use error::{CommandError, ParseCommandError};
pub use running::RunningCommand;
pub use settings::ReloadCommand;
pub use start::Surroundings;

/// How long one run may take, unless said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that one run may take: whatever comes after it in the order waits as long.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
