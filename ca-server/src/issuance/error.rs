//! Why something is not issued.

use std::time::Duration;

use thiserror::Error;
use trust_domains::class::CredentialClass;
use trust_domains::duration::format_duration;
use trust_domains::entry::DnsName;
use trust_domains::jwt_svid::{AudienceRefused, ClaimRefused};
use trust_domains::plan::validity::ValidityRefused;
use trust_domains::problem::{Code, Coded};
use trust_domains::{EntryId, Serial, SpiffeId, Timestamp};

use crate::authority::IssuerUnavailable;
use crate::journal::JournalError;

/// Why a whole request is refused.
#[derive(Debug, Error)]
pub enum IssueError {
    /// The request asks for more keys than a batch may hold.
    #[error("the batch holds {actual} keys, the limit is {limit}")]
    BatchTooLarge {
        /// The most keys of one batch.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// No authority may sign now.
    #[error("no authority may sign now")]
    Issuer(#[from] IssuerUnavailable),
    /// The journal did not take the record, so nothing was signed.
    #[error("the issuance cannot be recorded")]
    Journal(#[source] JournalError),
    /// An operator banned the node.
    #[error("node {node} is banned")]
    NodeBanned {
        /// The node.
        node: SpiffeId,
    },
    /// The life of the node ended.
    #[error("the SVID of node {node} ended at {expired_at}")]
    NodeExpired {
        /// The node.
        node: SpiffeId,
        /// When.
        expired_at: Timestamp,
    },
    /// The key proved in the handshake is not the one on record: the node renewed since, or somebody copied it.
    #[error("the key of the connection is not the one on record for node {node}")]
    NodeKeyReplaced {
        /// The node.
        node: SpiffeId,
    },
    /// There is no record of the node.
    #[error("node {node} is not known")]
    NodeUnknown {
        /// The node.
        node: SpiffeId,
    },
    /// The only certificate of the request is refused.
    #[error(transparent)]
    Refused(#[from] RequestRefused),
    /// The recorded certificate could not be signed.
    #[error("the signing key failed")]
    Sign(#[from] SignError),
}

impl Coded for IssueError {
    fn code(&self) -> Code {
        match self {
            Self::BatchTooLarge { .. } => Code::BatchTooLarge,
            Self::Issuer(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::NodeBanned { .. } => Code::NodeBanned,
            Self::NodeExpired { .. } => Code::NodeExpired,
            Self::NodeKeyReplaced { .. } | Self::NodeUnknown { .. } => Code::NodeUnknown,
            Self::Refused(error) => error.code(),
            Self::Sign(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Issuer(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Why one request of a batch is refused; the others are answered.
#[derive(Debug, Error)]
pub enum RequestRefused {
    /// The audience of the token is not acceptable.
    #[error("the audience is not accepted")]
    Audience(#[from] AudienceRefused),
    /// The entry has a claim that this server does not allow any more.
    #[error("a claim of the entry is not accepted")]
    Claims(#[from] ClaimRefused),
    /// The entry's class is longer than this server grants.
    #[error("entry {entry} is of class {class}, this server grants at most {max_class}")]
    ClassNotGranted {
        /// The entry.
        entry: EntryId,
        /// Its class.
        class: CredentialClass,
        /// The longest class of this server.
        max_class: CredentialClass,
    },
    /// The entry has ended.
    #[error("entry {entry} ended at {expired_at}")]
    EntryExpired {
        /// The entry.
        entry: EntryId,
        /// When.
        expired_at: Timestamp,
    },
    /// The node has no such entry; whether another node has it is not said.
    #[error("the node has no entry {entry}")]
    EntryNotOfNode {
        /// The entry asked for.
        entry: EntryId,
    },
    /// The public key is not acceptable.
    #[error("the public key is not accepted")]
    Key(#[from] KeyRefused),
    /// The challenge is not one that this server gave within the last minute, or it was used.
    #[error("the challenge is unknown, used or too old")]
    ChallengeUnknown,
    /// It is not proved that who asks has the key.
    #[error("the proof is not a signature of the key for this request")]
    PossessionUnproved,
    /// It cannot be prepared: its limits leave nothing, or its self-check failed.
    #[error("it cannot be prepared")]
    Prepare(#[from] PrepareError),
    /// The ID belongs to the trust domain's own parts.
    #[error("{spiffe_id} is reserved for the trust domain's own servers and agents")]
    ReservedPath {
        /// The ID.
        spiffe_id: SpiffeId,
    },
    /// The life asked for is longer than the class allows.
    #[error("a life of {} is longer than class {class} allows", format_duration(*.ttl))]
    TtlExceedsClass {
        /// The life.
        ttl: Duration,
        /// The class.
        class: CredentialClass,
    },
    /// The ID is of another trust domain, or has no path.
    #[error("{spiffe_id} is not an ID that this trust domain gives")]
    WrongTrustDomain {
        /// The ID.
        spiffe_id: SpiffeId,
    },
}

impl Coded for RequestRefused {
    fn code(&self) -> Code {
        match self {
            Self::Audience(refused) => refused.code(),
            Self::Claims(refused) => refused.code(),
            Self::ClassNotGranted { .. } | Self::TtlExceedsClass { .. } => Code::ClassExceeded,
            Self::EntryExpired { .. } => Code::EntryExpired,
            Self::EntryNotOfNode { .. } => Code::EntryNotOfNode,
            Self::Key(_) => Code::KeyUnacceptable,
            Self::ChallengeUnknown | Self::PossessionUnproved => Code::PossessionUnproved,
            Self::Prepare(error) => error.code(),
            Self::ReservedPath { .. } => Code::ReservedPath,
            Self::WrongTrustDomain { .. } => Code::InvalidSpiffeId,
        }
    }
}

/// Why a public key is not certified.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyRefused {
    /// It is the key of an authority, or the server's own.
    #[error("the key belongs to an authority or to the server")]
    OfAuthority,
    /// It is the node's own key: a workload that held it could speak for the node.
    #[error("the key is the node's own")]
    OfNode,
    /// Another request of the same batch has it: two identities with one key cannot be told apart.
    #[error("the key stands in the batch twice")]
    Repeated,
    /// It is not an uncompressed P-256 point on the curve.
    #[error("the key is not an uncompressed P-256 point on the curve")]
    Unreadable,
}

/// Why a certificate or a token could not be prepared.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The encoder refused the parameters.
    #[error("the certificate cannot be encoded")]
    Encode(#[source] rcgen::Error),
    /// The certificate would be valid when its issuer is not.
    #[error("the certificate would end at {not_after}, its issuer at {issuer_not_after}")]
    OutlivesIssuer {
        /// When the issuer ends.
        issuer_not_after: Timestamp,
        /// When the certificate would.
        not_after: Timestamp,
    },
    /// A name lies outside of what the issuing CA is constrained to: verifiers would refuse the certificate.
    #[error("the issuing CA is constrained, and {name} lies outside")]
    NameNotPermitted {
        /// The name.
        name: DnsName,
    },
    /// No randomness for the serial or the token id.
    #[error("the system gives no randomness")]
    Random,
    /// The self-check read something else than was asked for.
    #[error("the self-check of serial {serial} failed: {what}")]
    SelfCheck {
        /// The serial.
        serial: Serial,
        /// Which part differs.
        what: &'static str,
    },
    /// No certificate of this life can be issued now.
    #[error(transparent)]
    Validity(#[from] ValidityRefused),
}

impl Coded for PrepareError {
    fn code(&self) -> Code {
        match self {
            Self::Encode(_) | Self::OutlivesIssuer { .. } | Self::Random | Self::SelfCheck { .. } => Code::Internal,
            Self::NameNotPermitted { .. } => Code::DnsNotAllowed,
            Self::Validity(error) => error.code(),
        }
    }
}

/// The signing key failed; the record of the certificate or token stays in the journal.
#[derive(Debug, Error)]
#[error("the key of authority {issuer} did not sign")]
pub struct SignError {
    /// The key id of the authority, in hex.
    pub issuer: String,
    /// What the key said.
    #[source]
    pub source: rcgen::Error,
}

impl Coded for SignError {
    fn code(&self) -> Code {
        match self.source {
            rcgen::Error::RemoteKeyError => Code::SigningKeyUnavailable,
            _ => Code::Internal,
        }
    }
}
