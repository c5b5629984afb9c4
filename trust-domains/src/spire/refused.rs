//! Why a document, or an entry of it, is not taken.

use std::fmt;

use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::trust_domain::TrustDomain;

/// What an entry says has no counterpart here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCounterpart {
    /// The parent is an agent that proved itself in a way from which no name follows.
    #[error("its parent is the agent {parent_id}; no name of a node here follows from that, so say it: --map-parent {path}=NODE", path = parent_id.path())]
    Agent {
        /// The agent's ID.
        parent_id: SpiffeId,
    },
    /// The parent is a node alias that is not taken.
    #[error("its parent {parent_id} is a node alias that has no counterpart itself")]
    Alias {
        /// The alias.
        parent_id: SpiffeId,
    },
    /// A downstream server.
    #[error("downstream: this version signs for no server below it")]
    Downstream,
    /// The last part of the parent's path is no name of a node.
    #[error("its parent {parent_id} gives no name of a node (1 to 64 characters), so say it: --map-parent {path}=NODE", path = parent_id.path())]
    NodeName {
        /// The parent.
        parent_id: SpiffeId,
    },
    /// Two agents would be one node.
    #[error("its parent {parent_id} would be the node {name}, which {other} is already; name one of them with --map-parent")]
    NodeShared {
        /// The parent.
        parent_id: SpiffeId,
        /// The name of both.
        name: String,
        /// The agent that was there first.
        other: SpiffeId,
    },
    /// A selector that nothing here proves.
    #[error("selector {key}: {reason}")]
    Selector {
        /// The selector's type, with its key where that says more. Never the value.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// An SVID for a store of secrets.
    #[error("store_svid: this version puts SVIDs into no store of secrets; `agent run --sink` writes files")]
    StoreSvid,
}

/// An entry that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place in the document, from 1.
    pub position: usize,
    /// Its identity.
    pub spiffe_id: SpiffeId,
    /// Why not.
    pub reason: NoCounterpart,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} ({}): {}", self.position, self.spiffe_id, self.reason)
    }
}

/// A document of SPIRE entries is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoveRefused {
    /// It is not what a SPIRE server takes or prints.
    #[error("this is no document of SPIRE entries: {reason}")]
    Document {
        /// What is wrong.
        reason: String,
    },
    /// An entry is not well-formed.
    #[error("entry {position}: {reason}")]
    Entry {
        /// Its place, from 1.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// The entries are of another trust domain, and nobody said that they shall move.
    #[error("entry {position} is of trust domain {theirs}, and this server is of {own}")]
    ForeignTrustDomain {
        /// Its place, from 1.
        position: usize,
        /// The entry's.
        theirs: TrustDomain,
        /// The one expected: the server's, or the one that the entries move from.
        own: TrustDomain,
    },
    /// A parent was named that is no entry's.
    #[error("no entry has the parent {parent}, which --map-parent names")]
    NoSuchParent {
        /// The parent, as it was written.
        parent: String,
    },
    /// Entries without counterpart.
    #[error("{} of {total} entries have no counterpart here: {}", left_out.len(), shown(left_out))]
    NoCounterpart {
        /// Those.
        left_out: Vec<LeftOut>,
        /// How many there are in all.
        total: usize,
    },
}

impl Coded for MoveRefused {
    fn code(&self) -> Code {
        match self {
            Self::Document { .. } | Self::Entry { .. } => Code::InvalidRequest,
            Self::ForeignTrustDomain { .. } => Code::InvalidSpiffeId,
            Self::NoCounterpart { .. } => Code::NoCounterpart,
            Self::NoSuchParent { .. } => Code::Usage,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Document { .. } | Self::Entry { .. } => "write it as `spire-server entry show -output json` prints it".to_owned(),
            Self::ForeignTrustDomain { theirs, .. } => format!("give --from-trust-domain {theirs} to let them have the same paths here"),
            Self::NoSuchParent { .. } => "compare it with the parent IDs in the file".to_owned(),
            Self::NoCounterpart { .. } => self.code().facts().hint.to_owned(),
        }
    }
}

/// The first few, and how many more there are.
fn shown(left_out: &[LeftOut]) -> String {
    /// What a person reads before editing the file.
    const SHOWN: usize = 5;
    let mut lines: Vec<_> = left_out.iter().take(SHOWN).map(ToString::to_string).collect();
    match left_out.len().saturating_sub(SHOWN) {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join("; ")
}
