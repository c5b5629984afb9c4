//! Why a node is not admitted.

use platform::random::RandomError;
use thiserror::Error;
use trust_domains::Timestamp;
use trust_domains::node::NotAnAgentId;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::{PublicKeyError, SignatureInvalid};
use trust_domains::x509::{ParseCertificateError, VerifyError};

use super::identity::NodeRefused;
use super::token::SealedTokenError;
use crate::issuance::IssueError;
use crate::journal::JournalError;
use crate::registry::records::RecordError;
use crate::store::CommitError;

/// What is wrong with a join token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the join token ended at {ended_at}")]
    Expired {
        /// When.
        ended_at: Timestamp,
    },
    /// There is no such token, or no longer.
    #[error("the join token is not known")]
    Unknown,
    /// Another key used it.
    #[error("the join token was used with another key")]
    Used,
}

impl Coded for TokenError {
    fn code(&self) -> Code {
        match self {
            Self::Expired { .. } => Code::TokenExpired,
            Self::Unknown => Code::TokenUnknown,
            Self::Used => Code::TokenUsed,
        }
    }
}

/// Why a node gets no node SVID.
#[derive(Debug, Error)]
pub enum AttestError {
    /// The change was not committed.
    #[error("the node cannot be recorded")]
    Commit(#[from] CommitError),
    /// The ended SVID is past the time in which it may be renewed.
    #[error("the node SVID ended at {ended_at}; it could be renewed until {renewable_until}")]
    GraceOver {
        /// When it ended.
        ended_at: Timestamp,
        /// Until when it could be renewed.
        renewable_until: Timestamp,
    },
    /// The certificate was not issued.
    #[error("the node SVID cannot be issued")]
    Issue(#[from] IssueError),
    /// The decision was not recorded.
    #[error("the decision cannot be recorded")]
    Journal(#[from] JournalError),
    /// The ended SVID may not be renewed at all.
    #[error("the node SVID ended at {ended_at}, and this server renews none that has ended")]
    GraceOff {
        /// When it ended.
        ended_at: Timestamp,
    },
    /// The public key is not acceptable.
    #[error("the public key is not accepted")]
    Key(#[from] PublicKeyError),
    /// The new key is the old one: renewing it would prolong what may have leaked.
    #[error("the new key is the node's current one")]
    KeyUnchanged,
    /// The connection, or the SVID in the body, does not speak for a node.
    #[error(transparent)]
    Node(#[from] NodeRefused),
    /// A node's own ID is not one: a fault of this program.
    #[error(transparent)]
    NotAnAgent(#[from] NotAnAgentId),
    /// The SVID has not ended: it opens a connection, and there it is renewed.
    #[error("the node SVID is valid until {valid_until}")]
    NotEnded {
        /// Until when.
        valid_until: Timestamp,
    },
    /// Possession of the key was not proved on this connection.
    #[error("the signature does not prove that the caller holds the key")]
    Possession(#[from] SignatureInvalid),
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The node's record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A stored token cannot be opened.
    #[error("the stored join token cannot be opened")]
    Sealed(#[from] SealedTokenError),
    /// The presented SVID does not lead to this trust domain's root.
    #[error("the ended node SVID is not accepted")]
    Svid(#[from] VerifyError),
    /// The presented SVID is no certificate.
    #[error("the ended node SVID cannot be read")]
    SvidUnreadable(#[from] ParseCertificateError),
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There are as many tokens as are kept.
    #[error("there are {limit} join tokens already")]
    TooManyTokens {
        /// The most.
        limit: usize,
    },
    /// The life asked for is out of bounds.
    #[error("a join token lives {} to {} seconds, not {actual}", super::tokens::TOKEN_TTL_S.start(), super::tokens::TOKEN_TTL_S.end())]
    Ttl {
        /// The life asked for, in seconds.
        actual: u64,
    },
}

impl Coded for AttestError {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::GraceOff { .. } | Self::GraceOver { .. } => Code::NodeExpired,
            Self::Issue(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Key(_) | Self::KeyUnchanged => Code::KeyUnacceptable,
            Self::Node(refused) => refused.code(),
            Self::NotAnAgent(_) | Self::Random(_) => Code::Internal,
            Self::NotEnded { .. } | Self::Ttl { .. } => Code::InvalidRequest,
            Self::Possession(_) | Self::Svid(_) | Self::SvidUnreadable(_) => Code::AttestationRefused,
            Self::Record(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::TooManyTokens { .. } => Code::TooManyRequests,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Issue(error) => error.hint(),
            Self::NotEnded { .. } => "connect with the SVID and renew it there".to_owned(),
            Self::TooManyTokens { .. } => "delete some: troth token list, troth token delete ID".to_owned(),
            Self::Ttl { .. } => "choose a life in these bounds: troth token create --ttl 10m".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
