//! What the operator should know of a move although nothing is refused.

use std::collections::BTreeMap;
use std::fmt;

use crate::spiffe_id::SpiffeId;

/// Something that is not the same as in SPIRE.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Remark {
    /// Rights over the server.
    Admin,
    /// A node alias with fields that only credentials have.
    AliasFields,
    /// A DNS name in the subject.
    CommonName,
    /// No lifetime is named.
    DefaultLife,
    /// A lifetime over the longest.
    LifeCut,
    /// A parent that is a node here.
    Node {
        /// The parent in SPIRE.
        parent_id: SpiffeId,
        /// The node's name.
        name: String,
    },
    /// A partner that is this trust domain itself.
    OwnPartner,
    /// No certificate before it is asked for.
    Prefetch,
    /// A token of its own for each call.
    TokenId,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin is not taken over: an SVID gives no rights over this server, its admin socket does"),
            Self::AliasFields => f.write_str("a node alias has no lives, names, partners, hint or end here; those are not taken over"),
            Self::CommonName => f.write_str("the first DNS name is the subject's common name too, as SPIRE has it"),
            Self::DefaultLife => f.write_str("no x509_svid_ttl: certificates live 90m, where SPIRE's default_x509_svid_ttl was 1h unless set"),
            Self::LifeCut => f.write_str("a life over 24h is cut to 24h; renewal goes on as ever"),
            Self::Node { parent_id, name } => write!(f, "the parent {parent_id} is the node {name} here: troth token create --node-id {name}"),
            Self::OwnPartner => f.write_str("this trust domain itself is left out of federates_with"),
            Self::Prefetch => f.write_str("disable_x509_svid_prefetch has no counterpart: the agent signs ahead"),
            Self::TokenId => f.write_str("jwt_svid_include_jti is not needed: each JWT-SVID has a jti; the same one may be handed out again while it is fresh"),
        }
    }
}

/// A remark and the entries that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is not the same.
    pub remark: Remark,
    /// The places of the entries in the document, from 1.
    pub positions: Vec<usize>,
}

impl fmt::Display for Note {
    /// Names the first few entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many as fit on the line.
        const SHOWN: usize = 5;
        let first: Vec<_> = self.positions.iter().take(SHOWN).map(ToString::to_string).collect();
        let word = if self.positions.len() == 1 { "entry" } else { "entries" };
        write!(f, "{} ({word} {}", self.remark, first.join(", "))?;
        match self.positions.len().saturating_sub(SHOWN) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// Remarks as they come up, each once.
#[derive(Debug, Default)]
pub(super) struct Remarks(BTreeMap<Remark, Vec<usize>>);

impl Remarks {
    pub(super) fn add(&mut self, remark: Remark, position: usize) {
        self.0.entry(remark).or_default().push(position);
    }

    pub(super) fn add_if(&mut self, is_so: bool, remark: Remark, position: usize) {
        if is_so {
            self.add(remark, position);
        }
    }

    pub(super) fn into_notes(self) -> Vec<Note> {
        self.0.into_iter().map(|(remark, positions)| Note { remark, positions }).collect()
    }
}
