//! Why a helper did not do what it was asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

use super::message::Told;

/// Why a helper did not do what it was asked; another is started for the next try.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It ended, or said something that is no answer.
    #[error("the helper that writes to {} ended", directory.display())]
    Ended {
        /// The sink's directory.
        directory: PathBuf,
        /// What was seen of it.
        #[source]
        source: io::Error,
    },
    /// It could not be started.
    #[error("no helper can be started to write to {}", directory.display())]
    NotStarted {
        /// The sink's directory.
        directory: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time, and was killed.
    #[error("the helper that writes to {} did not answer within {} and was killed", directory.display(), format_duration(*within))]
    Stuck {
        /// The sink's directory.
        directory: PathBuf,
        /// How long it was waited for.
        within: Duration,
    },
    /// It failed, and says why.
    #[error("{}", .0.text())]
    Told(Told),
}

impl Coded for HelperError {
    fn code(&self) -> Code {
        match self {
            Self::Ended { .. } | Self::NotStarted { .. } | Self::Stuck { .. } => Code::Internal,
            Self::Told(told) => Code::from_word(told.code()).unwrap_or(Code::Internal),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Ended { .. } => "look whether the sink's owner ends processes of its own; the agent starts another helper by itself".to_owned(),
            Self::NotStarted { .. } => "let the agent start processes: raise its limit of processes, or leave the sink's owner out".to_owned(),
            Self::Stuck { .. } => "look at the file system of the directory, and whether the sink's owner stops processes; the agent tries again".to_owned(),
            Self::Told(told) => told.hint(),
        }
    }
}
