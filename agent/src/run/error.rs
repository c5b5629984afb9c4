//! Why the agent does not run.

use platform::config::ConfigMistakes;
use platform::files::FileError;
use platform::lock::LockError;
use platform::sockets::BindError;
use trust_domains::join_link::ParseJoinLinkError;
use trust_domains::problem::{Code, Coded};

use crate::node::{IdentityUnreadable, MembershipEnded, SealedError};

/// The agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A socket.
    #[error("a socket cannot be made")]
    Bind(#[from] BindError),
    /// The configuration does not fit the trust domain that the node is in.
    #[error(transparent)]
    Config(#[from] ConfigMistakes),
    /// The data directory.
    #[error("the data directory cannot be used")]
    DataDir(#[source] FileError),
    /// The sealed identity.
    #[error("the sealed identity cannot be used")]
    Identity(#[from] IdentityUnreadable),
    /// The file with the link.
    #[error("the file with the join link cannot be read")]
    JoinFile(#[source] FileError),
    /// The link.
    #[error("the join link cannot be used")]
    JoinLink(#[from] ParseJoinLinkError),
    /// Another agent runs.
    #[error("another agent runs on this data directory")]
    Lock(#[from] LockError),
    /// The node did not join, or is a member no longer.
    #[error(transparent)]
    Membership(#[from] MembershipEnded),
    /// There is neither identity nor link.
    #[error("this agent has no identity yet and was given no join link")]
    NoJoinLink,
    /// Processes cannot be looked at.
    #[error("processes cannot be attested without /proc")]
    Proc(#[source] std::io::Error),
    /// The sealed records.
    #[error("the sealed records cannot be opened")]
    Sealed(#[from] SealedError),
}

impl Coded for RunError {
    fn code(&self) -> Code {
        match self {
            Self::Bind(error) => error.code(),
            Self::Config(error) => error.code(),
            Self::DataDir(error) | Self::JoinFile(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::JoinLink(error) => error.code(),
            Self::Lock(error) => error.code(),
            Self::Membership(error) => error.code(),
            Self::NoJoinLink => Code::JoinLinkRequired,
            Self::Proc(_) => Code::Internal,
            Self::Sealed(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Bind(error) => error.hint(),
            Self::DataDir(error) | Self::JoinFile(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Membership(error) => error.hint(),
            Self::Sealed(error) => error.hint(),
            Self::Config(_) | Self::JoinLink(_) | Self::NoJoinLink | Self::Proc(_) => self.code().facts().hint.to_owned(),
        }
    }
}
