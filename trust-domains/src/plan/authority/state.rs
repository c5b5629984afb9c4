//! The authorities of a server, as the plan sees them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jws::TokenAlgorithm;
use crate::node::NodeName;
use crate::plan::authority::{AuthorityId, Order, PartnersBehind};
use crate::plan::clock_evidence::ClockEvidence;
use crate::timestamp::Timestamp;

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(rename_all = "kebab-case")]
pub enum AuthorityKind {
    /// Signs issuing CAs; the bundle holds it.
    X509Root,
    /// Signs leaves; travels in their chain.
    X509Issuing,
    /// Signs JWT-SVIDs; a key without a certificate, which the bundle holds.
    Jwt,
    /// Signs WIT-SVIDs; a key without a certificate, which the bundle holds.
    Wit,
}

impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X509Root => "x509-root",
            Self::X509Issuing => "x509-issuing",
            Self::Jwt => "jwt",
            Self::Wit => "wit",
        })
    }
}

impl AuthorityKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::X509Root, Self::X509Issuing, Self::Jwt, Self::Wit];
}

impl FromStr for AuthorityKind {
    type Err = UnknownAuthorityKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownAuthorityKind {
            name: text.chars().take(40).collect(),
        };
        Self::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or_else(unknown)
    }
}

/// There is no such kind of authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no kind of authority; there are x509-root, x509-issuing, jwt and wit")]
pub struct UnknownAuthorityKind {
    /// What was named.
    pub name: String,
}

/// Where an authority is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum Phase {
    /// Made and known; signs nothing yet.
    Prepared,
    /// Signs.
    Active,
    /// Signs no more; what it signed is good until it ends.
    Old,
    /// What it signed is being replaced.
    Tainted,
    /// What it signed is no longer believed.
    Revoked,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Old => "old",
            Self::Tainted => "tainted",
            Self::Revoked => "revoked",
        })
    }
}

/// One authority as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityState {
    /// What it is known by.
    pub id: AuthorityId,
    /// What it signs.
    pub kind: AuthorityKind,
    /// Where it is in its life.
    pub phase: Phase,
    /// The authority that signed it; none for a root.
    pub issuer: Option<AuthorityId>,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// What it signs tokens with; none for a CA.
    pub algorithm: Option<TokenAlgorithm>,
    /// When every node was told of it as it is now; none for what travels in the chain, and for what is not published yet. Tainted or revoked, it is
    /// published anew.
    pub publication: Option<Publication>,
    /// What an operator asked of it while it is prepared.
    pub asked: Asked,
}

/// What an operator asked of a prepared authority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// That it sign, as soon as everybody who is waited for knows it.
    Activated,
    /// That it be kept, and sign when its time comes.
    Kept,
    /// Nothing.
    #[default]
    Nothing,
}

/// An authority that is in the bundle, and who does not know it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// When it was published.
    pub at: Timestamp,
    /// The nodes with an unexpired SVID that have not acknowledged it, and the partners that show that they are behind.
    pub missing: Missing,
    /// Those of these nodes that are connected: an emergency waits for no others; and of a revoked one the same partners.
    pub missing_connected: Missing,
    /// How long relying parties outside may take to hear of it, as it was when it was published: whoever fetched the keys then may hold them that long,
    /// whatever is configured since.
    pub refreshes: Duration,
}

/// Nodes that have not acknowledged something: their number, and some of their names; and partners that show that they are behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    count: usize,
    some: Vec<NodeName>,
    partners: PartnersBehind,
}

impl Missing {
    /// The most names that are kept: enough for a person to begin with.
    pub const MOST_NAMED: usize = 10;

    /// Adds a node.
    pub fn push(&mut self, node: &NodeName) {
        self.count += 1;
        if self.some.len() < Self::MOST_NAMED {
            self.some.push(node.clone());
        }
    }

    /// Returns the same nodes, with partners that are behind.
    #[must_use]
    pub fn with_partners(mut self, partners: PartnersBehind) -> Self {
        self.partners = partners;
        self
    }

    /// Returns the nodes alone.
    #[must_use]
    pub fn nodes(&self) -> Self {
        self.clone().with_partners(PartnersBehind::default())
    }

    /// Returns the partners.
    #[must_use]
    pub fn partners(&self) -> &PartnersBehind {
        &self.partners
    }

    /// Returns how many nodes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the names of nodes that were kept.
    #[must_use]
    pub fn some(&self) -> &[NodeName] {
        &self.some
    }

    /// Returns whether there is neither a node nor a partner.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.has_no_node() && self.partners.is_empty()
    }

    /// Returns whether there is no node, whatever partners there are.
    #[must_use]
    pub fn has_no_node(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Missing {
    /// `3 nodes (web-1, web-2, web-3)`, or with `...` where there are more; `and 1 partner (a.test)` behind them, or alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_no_node() && !self.partners.is_empty() {
            return self.partners.fmt(f);
        }
        let names: Vec<_> = self.some.iter().map(NodeName::as_str).collect();
        let (noun, more) = (
            if self.count == 1 { "node" } else { "nodes" },
            if self.count > names.len() { ", ..." } else { "" },
        );
        match self.count {
            0 => f.write_str("no node"),
            count => write!(f, "{count} {noun} ({}{more})", names.join(", ")),
        }?;
        match self.partners.is_empty() {
            true => Ok(()),
            false => write!(f, " and {}", self.partners),
        }
    }
}

impl AuthorityState {
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// Everything that the plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritiesState {
    /// The roots of the trust domain, and the issuing CAs and token keys of this replica.
    pub authorities: Vec<AuthorityState>,
    /// What is known about the clock.
    pub clock: ClockEvidence,
    /// What operators ordered and is not done yet.
    pub orders: Vec<Order>,
    /// Whether relying parties are given CRLs: then an issuing CA signs when its empty one is out.
    pub crls_in_use: bool,
}

impl AuthoritiesState {
    /// Returns the state with no order, where no CRLs are in use.
    #[must_use]
    pub fn new(authorities: Vec<AuthorityState>, clock: ClockEvidence) -> Self {
        Self {
            authorities,
            clock,
            orders: Vec::new(),
            crls_in_use: false,
        }
    }
}
