//! What goes wrong with commands.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

/// The settings are no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommandError {
    /// Nothing.
    #[error("a command names at least a program")]
    Empty,
    /// The program.
    #[error("{program:?} is not an absolute path: a command is not looked for")]
    NotAbsolute {
        /// What was given.
        program: String,
    },
    /// More or less than one text for the shell.
    #[error("with shell = true a command is a list of one text, which /bin/sh -c runs")]
    Shell,
    /// A zero octet.
    #[error("a command has no zero octets")]
    Zero,
}

/// A command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It says so.
    #[error("the command {program} failed: {}", ending(status))]
    Failed {
        /// Which.
        program: String,
        /// How it ended; absent where that is not known.
        status: Option<ExitStatus>,
    },
    /// It cannot be started.
    #[error("the command {program} cannot be started")]
    Start {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was killed with what it started.
    #[error("the command {program} did not end within {}, and was killed", format_duration(*timeout))]
    TimedOut {
        /// Which.
        program: String,
        /// The time it had.
        timeout: Duration,
    },
}

fn ending(status: &Option<ExitStatus>) -> String {
    status.map_or_else(|| "its end is not known".to_owned(), |status| status.to_string())
}

impl Coded for CommandError {
    fn code(&self) -> Code {
        Code::HookCommandFailed
    }
}
