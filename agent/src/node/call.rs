//! Why a call to the server failed.

use std::time::Duration;

use platform::client::CallError as Unanswered;
use platform::tls::{ConnectError, TlsConfigError};
use trust_domains::problem::{Code, Coded, Problem};

/// How long a connection may take to open: name, TCP and TLS.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long a call may take: a batch of 500 takes a server about 12 ms.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// A call to the server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The node's own certificate and key cannot be used.
    #[error("the node's identity cannot be used for TLS")]
    Identity(#[from] TlsConfigError),
    /// The node's identity was renewed during the call, which was of the old one.
    #[error("the node's identity was renewed during the call")]
    Superseded,
    /// The server refused, or did not answer as it should.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl CallError {
    /// Returns what the server said, if it refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Unanswered(Unanswered::Refused(problem)) => Some(problem),
            _ => None,
        }
    }

    /// Returns whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(error) => error.code() == Code::CannotReach,
            Self::Identity(_) => false,
            Self::Superseded => true,
            Self::Unanswered(Unanswered::Refused(problem)) => problem.retry,
            Self::Unanswered(_) => true,
        }
    }
}

impl Coded for CallError {
    fn code(&self) -> Code {
        match self {
            Self::Connect(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::Superseded => Code::CannotReach,
            Self::Unanswered(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Connect(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Superseded => self.code().facts().hint.to_owned(),
            Self::Unanswered(error) => error.hint(),
        }
    }
}
