//! The signals that a hook may send.

use std::fmt;
use std::str::FromStr;

use rustix::process::Signal;

/// A signal by which programs are told to do something. Those that only stop or break a process are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalName {
    /// `SIGHUP`: reload, for most.
    Hup,
    /// `SIGINT`.
    Int,
    /// `SIGQUIT`: end when open requests are done, for nginx.
    Quit,
    /// `SIGTERM`: end, for whoever is started again by others.
    Term,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGUSR2`.
    Usr2,
    /// `SIGWINCH`.
    Winch,
}

/// The word is no signal that a hook may send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no signal of a hook: HUP, INT, QUIT, TERM, USR1, USR2 and WINCH are")]
pub struct ParseSignalNameError {
    /// What was given.
    pub found: String,
}

impl SignalName {
    const ALL: [Self; 7] = [Self::Hup, Self::Int, Self::Quit, Self::Term, Self::Usr1, Self::Usr2, Self::Winch];

    const fn word(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Winch => "WINCH",
        }
    }

    /// Returns the kernel's signal.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::Hup => Signal::HUP,
            Self::Int => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Term => Signal::TERM,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
            Self::Winch => Signal::WINCH,
        }
    }
}

impl FromStr for SignalName {
    type Err = ParseSignalNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|signal| signal.word() == text);
        found.ok_or_else(|| ParseSignalNameError { found: text.to_owned() })
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
