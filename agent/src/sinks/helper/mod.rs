//! A process for each sink whose files are another user's: it has that user's rights and nothing else.
//!
//! The agent may be root, and the directory is its owner's, who can swap links and directories in it between any two system calls. Whatever such a
//! swap makes of a path, a process with the owner's rights does nothing that the owner could not do alone.
//!
//! `process` starts and ends it, for the agent; `serve` is what it does; `message` and `channel` are between them.

mod channel;
mod error;
mod message;
mod process;
mod serve;
#[cfg(test)]
mod tests;

pub use error::HelperError;
pub use message::Told;
pub(super) use process::Helper;
pub use serve::HelperDuty;
pub(super) use serve::opened;

/// The words between the program and the numbers that it is started with: a subcommand that no help lists.
const WORDS: [&str; 2] = ["agent", "sink-helper"];
