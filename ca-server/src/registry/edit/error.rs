//! Why a change of entries or nodes is refused.

use platform::random::RandomError;
use thiserror::Error;
use trust_domains::class::CredentialClass;
use trust_domains::entry::{DnsName, EntryRefused};
use trust_domains::node::{NodeName, ParseNodeNameError};
use trust_domains::problem::{Code, Coded};
use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::{EntryId, SpiffeId};

use crate::journal::JournalError;
use crate::registry::records::RecordError;
use crate::store::CommitError;

/// How many nodes an error names.
pub(super) const NAMED: usize = 10;

/// Why one entry of several is refused.
#[derive(Debug, Error)]
#[error("entry {position} of {total} ({written})")]
pub struct DraftRefused {
    /// Its place, from 1.
    pub position: usize,
    /// How many entries there are.
    pub total: usize,
    /// Its SPIFFE ID as it was written.
    pub written: String,
    /// What is wrong with it.
    #[source]
    pub reason: Box<EditError>,
}

/// Why a change is refused.
#[derive(Debug, Error)]
pub enum EditError {
    /// A list has a node alias and a workload of one ID.
    #[error("{spiffe_id} is that of a node alias in the same list, and an ID is either a node alias's or a workload's")]
    AliasInList {
        /// The ID.
        spiffe_id: SpiffeId,
    },
    /// One ID would be a node alias's and a workload's.
    #[error("entry {id} has {spiffe_id} already, and an ID is either a node alias's or a workload's")]
    AliasShared {
        /// The one that has it.
        id: EntryId,
        /// The ID.
        spiffe_id: SpiffeId,
    },
    /// Several entries give the identity that was named.
    #[error("{text} is the identity of {} entries: {}", .ids.len(), list(.ids))]
    Ambiguous {
        /// What was named.
        text: String,
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// Somebody changed the entry between look and change.
    #[error("entry {id} was changed at the same time")]
    ChangedMeanwhile {
        /// The entry.
        id: EntryId,
    },
    /// The class is longer than this server grants.
    #[error("this server grants at most class {max_class}, not {class}")]
    ClassNotGranted {
        /// The class asked for.
        class: CredentialClass,
        /// The longest.
        max_class: CredentialClass,
    },
    /// The change was not committed.
    #[error("the change was not written")]
    Commit(#[from] CommitError),
    /// The server's configuration does not allow a name.
    #[error("this server allows no certificate for {name} ({option})")]
    DnsNotAllowed {
        /// The name.
        name: DnsName,
        /// The key of the configuration that lists what is allowed.
        option: &'static str,
    },
    /// Entries of a list are refused; nothing was written.
    #[error("{first}: {}{}", .first.reason, others(*.more))]
    Drafts {
        /// The first of them.
        first: DraftRefused,
        /// How many more there are.
        more: usize,
    },
    /// The entry breaks a rule.
    #[error(transparent)]
    Entry(#[from] EntryRefused),
    /// An entry of the same SPIFFE ID, parent and selectors exists with other fields.
    #[error("entry {id} for {spiffe_id} exists with another {}", .differences.join(", "))]
    Exists {
        /// The one that exists.
        id: EntryId,
        /// The identity.
        spiffe_id: SpiffeId,
        /// The fields that differ.
        differences: Vec<&'static str>,
    },
    /// The decision was not recorded, so nothing was changed.
    #[error("the change cannot be recorded")]
    Journal(#[from] JournalError),
    /// There is no such node.
    #[error("there is no node {text}")]
    NodeNotFound {
        /// What was named.
        text: String,
    },
    /// There is no such entry.
    #[error("there is no entry {text}")]
    NotFound {
        /// What was named.
        text: String,
    },
    /// No parent was named, and there is not exactly one node.
    #[error("no parent is named, and {}", nodes(*.count, .names))]
    ParentAmbiguous {
        /// How many nodes there are.
        count: usize,
        /// The first of them.
        names: Vec<NodeName>,
    },
    /// The parent is no node's name.
    #[error("{text:?} names no node")]
    ParentName {
        /// What was named.
        text: String,
        /// Why.
        #[source]
        source: ParseNodeNameError,
    },
    /// Some batches were written, and then one was not.
    #[error("{written} of {total} changes were written, then it stopped: {source}")]
    Partly {
        /// How many were written.
        written: usize,
        /// How many were asked for.
        total: usize,
        /// Why it stopped.
        source: Box<EditError>,
    },
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A record cannot be encoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A name is not a SPIFFE ID of this trust domain.
    #[error(transparent)]
    SpiffeId(#[from] ParseSpiffeIdError),
    /// The request holds more entries than one may.
    #[error("the request holds {actual} entries, the limit is {limit}")]
    TooMany {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// Two entries of the list have the same SPIFFE ID, parent and selectors and differ otherwise.
    #[error("entry {earlier} of the list has the same SPIFFE ID, parent and selectors and another {}", .differences.join(", "))]
    TwiceInList {
        /// The place of the earlier one, from 1.
        earlier: usize,
        /// The fields that differ.
        differences: Vec<&'static str>,
    },
}

impl Coded for EditError {
    fn code(&self) -> Code {
        match self {
            Self::AliasInList { .. } | Self::AliasShared { .. } | Self::Ambiguous { .. } | Self::ParentName { .. } | Self::TwiceInList { .. } => {
                Code::InvalidRequest
            }
            Self::ChangedMeanwhile { .. } => Code::StoreConflict,
            Self::ClassNotGranted { .. } => Code::ClassExceeded,
            Self::Commit(error) => error.code(),
            Self::DnsNotAllowed { .. } => Code::DnsNotAllowed,
            Self::Drafts { first, .. } => first.reason.code(),
            Self::Entry(refused) => refused.code(),
            Self::Exists { .. } => Code::EntryExists,
            Self::Journal(error) => error.code(),
            Self::NodeNotFound { .. } => Code::NodeNotFound,
            Self::NotFound { .. } => Code::EntryNotFound,
            Self::ParentAmbiguous { .. } => Code::NodeParentAmbiguous,
            Self::Partly { source, .. } => source.code(),
            Self::Random(_) => Code::Internal,
            Self::Record(error) => error.code(),
            Self::SpiffeId(error) => error.code(),
            Self::TooMany { .. } => Code::BatchTooLarge,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::AliasInList { .. } | Self::AliasShared { .. } => "choose another SPIFFE ID for the alias, as /nodes/web".to_owned(),
            Self::Ambiguous { .. } => "name the entry by its id: troth entry list".to_owned(),
            Self::ClassNotGranted { max_class, .. } => format!("use --class {max_class}, or start the server with a longer --max-class"),
            Self::Drafts { first, .. } => first.reason.hint(),
            Self::Entry(refused) => refused.hint(),
            Self::Exists { id, .. } => format!("change it: troth entry update {id}"),
            Self::ParentAmbiguous { count: 0, .. } => "join a node first: troth token create; or name its SPIFFE ID with --parent".to_owned(),
            Self::Partly { .. } => "run the same command again: what is written stays, and it goes on from there".to_owned(),
            Self::SpiffeId(error) => error.hint(),
            Self::TooMany { limit, .. } => format!("split the list into parts of at most {limit} entries"),
            Self::TwiceInList { .. } => "write the entry once".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

fn list(ids: &[EntryId]) -> String {
    ids.iter().take(NAMED).map(EntryId::as_str).collect::<Vec<_>>().join(", ")
}

fn others(count: usize) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(" (and {count} more entries are refused)")
    }
}

fn nodes(count: usize, names: &[NodeName]) -> String {
    if count == 0 {
        return "there is no node yet".to_owned();
    }
    let named = names.iter().take(NAMED).map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    let others = if count > NAMED { ", ..." } else { "" };
    format!("there are {count} nodes: {named}{others}")
}
