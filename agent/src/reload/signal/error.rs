//! Why no signal was sent.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

use crate::workload::AttestError;

/// No process got the signal, or not every one that should have.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The file holds no number of a process.
    #[error("the pid file {} does not begin with the number of a process", path.display())]
    NoNumber {
        /// The file.
        path: PathBuf,
    },
    /// There is no file.
    #[error("there is no pid file {}", path.display())]
    NoPidFile {
        /// The file.
        path: PathBuf,
    },
    /// The process that it names is gone.
    #[error("the process that the pid file {} names cannot be held", path.display())]
    NoProcess {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: AttestError,
    },
    /// It runs as somebody else.
    #[error("the process {pid} that the pid file {} names does not run as the sink's owner, uid {owner}", path.display())]
    NotOwners {
        /// The file.
        path: PathBuf,
        /// The process.
        pid: i32,
        /// The sink's owner.
        owner: u32,
    },
    /// The kernel refuses it.
    #[error("the signal could not be sent")]
    NotSent {
        /// Why.
        #[source]
        source: AttestError,
    },
    /// Processes cannot be listed.
    #[error("the processes of this machine cannot be listed")]
    Proc(#[source] io::Error),
    /// The file cannot be read.
    #[error("the pid file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file names another process than a moment before.
    #[error("the pid file {} was replaced while it was looked at", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It took too long.
    #[error("no signal was sent within {}", format_duration(*timeout))]
    TimedOut {
        /// The time it had.
        timeout: Duration,
    },
    /// Others may have put the file there.
    #[error("the pid file {} is not believed: {reason}", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

impl SignalError {
    /// Returns whether this is how it looks while a program starts or is replaced: it writes its pid file when it has read its own files, and what it replaces ends.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoPidFile { .. } | Self::NoNumber { .. } | Self::Replaced { .. } => true,
            Self::NoProcess { source, .. } | Self::NotSent { source } => matches!(source, AttestError::Exited | AttestError::Changed { .. }),
            Self::NotOwners { .. } | Self::Proc(_) | Self::Read { .. } | Self::TimedOut { .. } | Self::Unsafe { .. } => false,
        }
    }
}

impl Coded for SignalError {
    fn code(&self) -> Code {
        Code::HookSignalRefused
    }

    fn hint(&self) -> String {
        match self {
            Self::NoPidFile { .. } | Self::NoNumber { .. } | Self::Replaced { .. } => {
                "check that the program runs, and where it writes its pid file".to_owned()
            }
            Self::NotOwners { .. } => "set owner = of the sink to the user as whom the program's main process runs".to_owned(),
            Self::Unsafe { .. } => "put the pid file where only root and the sink's owner can write".to_owned(),
            Self::NoProcess { source, .. } | Self::NotSent { source } => source.hint(),
            Self::Proc(_) | Self::Read { .. } | Self::TimedOut { .. } => self.code().facts().hint.to_owned(),
        }
    }
}
