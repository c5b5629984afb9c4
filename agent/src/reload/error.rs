//! What goes wrong with hooks, whatever their kind.

use platform::reload_command::CommandError;
use trust_domains::problem::{Code, Coded};

use super::context::OwnerError;
use super::http::HttpHookError;
use super::probe::ProbeError;
use super::signal::SignalError;
use super::systemd_unit::UnitError;

/// A program was not made to read its files, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// An HTTP request.
    #[error(transparent)]
    Http(#[from] HttpHookError),
    /// The sink's owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The hook did its part, and the service does not present the new certificate.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A signal.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The agent ends.
    #[error("the agent ends")]
    Stopped,
    /// systemd.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl HookError {
    /// Returns whether this is how it looks while a program starts: no matter for the log unless it stays so.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Signal(error) => error.may_pass(),
            Self::Command(_) | Self::Http(_) | Self::Owner(_) | Self::Probe(_) | Self::Stopped | Self::Unit(_) => false,
        }
    }
}

impl Coded for HookError {
    fn code(&self) -> Code {
        match self {
            Self::Command(error) => error.code(),
            Self::Http(error) => error.code(),
            Self::Owner(_) => Code::ConfigInvalid,
            Self::Probe(error) => error.code(),
            Self::Signal(error) => error.code(),
            Self::Stopped => Code::Internal,
            Self::Unit(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Command(error) => error.hint(),
            Self::Http(error) => error.hint(),
            Self::Probe(error) => error.hint(),
            Self::Signal(error) => error.hint(),
            Self::Owner(_) | Self::Stopped => self.code().facts().hint.to_owned(),
            Self::Unit(error) => error.hint(),
        }
    }
}
