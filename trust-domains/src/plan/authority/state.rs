//! The authorities of a server, as the plan sees them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::authority::AuthorityId;
use crate::plan::clock_evidence::ClockEvidence;
use crate::timestamp::Timestamp;

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityKind {
    /// Signs issuing CAs; the bundle holds it.
    X509Root,
    /// Signs leaves; travels in their chain.
    X509Issuing,
}

impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X509Root => "x509-root",
            Self::X509Issuing => "x509-issuing",
        })
    }
}

/// Where an authority is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
}

impl AuthorityState {
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// Everything that the plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritiesState {
    /// The roots of the trust domain and the issuing CAs of this replica.
    pub authorities: Vec<AuthorityState>,
    /// What is known about the clock.
    pub clock: ClockEvidence,
}
