//! Why a supervised program did not run, or ended.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use platform::file_set::FileSetError;
use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

use super::choice::NotAmong;
use crate::contents::NotComposed;
use crate::source::SourceError;

/// Why a supervised program did not run, or was ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The credentials ended and the agent gave no others.
    #[error("the credentials ended and the agent gave no others; the program was ended, as --on-expiry stop says")]
    CredentialsEnded,
    /// The directory of the files cannot be made or removed.
    #[error("the directory {} cannot be used", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The files cannot be put in place.
    #[error("the credentials cannot be written")]
    Files(#[from] FileSetError),
    /// No credentials came in time.
    #[error("no credentials came within {}", format_duration(*waited))]
    NeverReady {
        /// How long was waited.
        waited: Duration,
        /// Why, as far as is known.
        #[source]
        reason: Option<NotReady>,
    },
    /// The program cannot be started.
    #[error("{} cannot be started", program.display())]
    Program {
        /// Which.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused what a supervisor needs.
    #[error("{what} failed")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why there are no credentials yet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotReady {
    /// The agent gives nothing.
    #[error(transparent)]
    Agent(Arc<SourceError>),
    /// The agent gives others than the one that was asked for.
    #[error(transparent)]
    Choice(#[from] NotAmong),
    /// They cannot be composed.
    #[error(transparent)]
    Composed(#[from] NotComposed),
    /// They cannot be written.
    #[error(transparent)]
    Files(Arc<FileSetError>),
}

impl RunError {
    /// Returns the exit code where that is not the one of the code: shells give 127 for a program that is not there, and 126 for one that cannot be executed.
    #[must_use]
    pub fn exit(&self) -> Option<u8> {
        match self {
            Self::CredentialsEnded | Self::NeverReady { .. } => Some(4),
            Self::Program { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(127),
            Self::Program { .. } => Some(126),
            _ => None,
        }
    }
}

impl Coded for RunError {
    fn code(&self) -> Code {
        match self {
            Self::CredentialsEnded => Code::WorkloadUnavailable,
            Self::Directory { .. } => Code::FileUnavailable,
            Self::Files(error) => error.code(),
            Self::NeverReady { reason, .. } => reason.as_ref().map_or(Code::WorkloadUnavailable, Coded::code),
            Self::Program { .. } => Code::Usage,
            Self::System { .. } => Code::Internal,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Files(error) => error.hint(),
            Self::NeverReady { reason: Some(reason), .. } => reason.hint(),
            Self::Program { .. } => "check the program after --: its path, and that it may be executed".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

impl Coded for NotReady {
    fn code(&self) -> Code {
        match self {
            Self::Agent(error) => error.code(),
            Self::Choice(error) => error.code(),
            Self::Composed(error) => error.code(),
            Self::Files(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Agent(error) => error.hint(),
            Self::Choice(error) => error.hint(),
            Self::Composed(error) => error.hint(),
            Self::Files(error) => error.hint(),
        }
    }
}
