//! Why a node is not admitted.

use platform::files::FileError;
use platform::random::RandomError;
use thiserror::Error;
use trust_domains::node::{NameRefused, NodeAttestor, NodeName, NotAnAgentId};
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::{PublicKeyError, SignatureInvalid};
use trust_domains::x509::{ParseCertificateError, PopAuthoritiesRefused, PopRefused, VerifyError};
use trust_domains::{SpiffeId, Timestamp};

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
    /// The files of the authorities of nodes' certificates do not hold what they should.
    #[error("the authorities of nodes' certificates (--x509pop-ca, --x509pop-crl) cannot be used")]
    Authorities(#[from] PopAuthoritiesRefused),
    /// A file of the authorities of nodes' certificates cannot be read.
    #[error("the authorities of nodes' certificates (--x509pop-ca, --x509pop-crl) cannot be read")]
    AuthoritiesFile {
        /// Why.
        #[source]
        source: FileError,
    },
    /// The certificate admits no node.
    #[error("the node's certificate is not accepted: {0}")]
    Certificate(#[source] PopRefused),
    /// No certificate admits a node here.
    #[error("this server admits no node by a certificate")]
    CertificatesOff,
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
    /// The certificate gives the node no name.
    #[error(transparent)]
    Name(#[from] NameRefused),
    /// A node that joined otherwise has the name.
    #[error("the name {name} is that of a node that joined by {by}")]
    NameTaken {
        /// The name.
        name: NodeName,
        /// How that one joined.
        by: NodeAttestor,
    },
    /// The node is there, with another key.
    #[error("node {node} is connected with another key")]
    NodeConnected {
        /// The node.
        node: SpiffeId,
    },
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
    /// The node has asked again since, and holds the answer to that, or will.
    #[error("a newer renewal of node {node} has begun")]
    Overtaken {
        /// The node.
        node: SpiffeId,
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

impl From<PopRefused> for AttestError {
    fn from(refused: PopRefused) -> Self {
        Self::Certificate(refused)
    }
}

impl Coded for AttestError {
    fn code(&self) -> Code {
        match self {
            Self::Authorities(_) | Self::AuthoritiesFile { .. } => Code::FileUnavailable,
            Self::Certificate(refused) => refused.code(),
            Self::CertificatesOff | Self::NameTaken { .. } => Code::AttestationRefused,
            Self::Commit(error) => error.code(),
            Self::Name(refused) => refused.code(),
            Self::NodeConnected { .. } => Code::NodeConnected,
            Self::GraceOff { .. } | Self::GraceOver { .. } => Code::NodeExpired,
            Self::Issue(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Key(_) | Self::KeyUnchanged => Code::KeyUnacceptable,
            Self::Node(refused) => refused.code(),
            Self::NotAnAgent(_) | Self::Random(_) => Code::Internal,
            Self::NotEnded { .. } | Self::Ttl { .. } => Code::InvalidRequest,
            Self::Overtaken { .. } => Code::StoreConflict,
            Self::Possession(_) | Self::Svid(_) | Self::SvidUnreadable(_) => Code::AttestationRefused,
            Self::Record(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::TooManyTokens { .. } => Code::TooManyRequests,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Authorities(_) | Self::AuthoritiesFile { .. } => "on the server, look at the files of --x509pop-ca and --x509pop-crl".to_owned(),
            Self::Certificate(refused) => refused.hint(),
            Self::CertificatesOff => "start the server with --x509pop-ca FILE, or join by a link: troth token create".to_owned(),
            Self::Issue(error) => error.hint(),
            Self::Name(_) => "use a certificate that the server's --x509pop-name fits, or another template".to_owned(),
            Self::NameTaken { name, .. } => format!("evict that node (troth node evict {name}), or let --x509pop-name make other names"),
            Self::NotEnded { .. } => "connect with the SVID and renew it there".to_owned(),
            Self::TooManyTokens { .. } => "delete some: troth token list, troth token delete ID".to_owned(),
            Self::Ttl { .. } => "choose a life in these bounds: troth token create --ttl 10m".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
