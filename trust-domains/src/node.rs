//! Nodes: machines with an attested agent, and what the server keeps about each.

use std::fmt;

use serde::{Deserialize, Serialize};

mod name;
mod name_template;
mod record;
mod turn;

pub use name::{NodeName, ParseNodeNameError};
pub use name_template::{Fact, NameRefused, NodeNameTemplate, ParseNodeNameTemplateError};
pub use record::{KeyStanding, NodeRecord, NodeSvid, NotAnAgentId, ProofTime};
pub use turn::Turn;

/// How a node proves itself when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeAttestor {
    /// By a join token that an operator made for it.
    JoinToken,
    /// By the key of a certificate of an authority that the operator named.
    #[serde(rename = "x509pop")]
    X509Pop,
}

impl NodeAttestor {
    /// Every attestor.
    pub const ALL: [Self; 2] = [Self::JoinToken, Self::X509Pop];

    /// Returns the word in node IDs and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JoinToken => "join_token",
            Self::X509Pop => "x509pop",
        }
    }

    /// Returns the attestor of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attestor| attestor.as_str() == word)
    }
}

impl fmt::Display for NodeAttestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a node may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It may.
    Active,
    /// An operator banned it.
    Banned,
    /// Its SVID has ended.
    Expired,
}

impl NodeState {
    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Banned => "banned",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod copied_keys;
#[cfg(test)]
mod tests;
