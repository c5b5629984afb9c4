//! Revocation rules: which certificates are no longer believed, said so that it needs no list of them.
//!
//! A rule names a serial, or everything that an entry, a SPIFFE ID or a node was issued until the moment of the rule. Whoever signed expands it over the journal
//! of what he signed. It concerns nothing that is issued afterwards: the workload of an entry that may still be served gets a new certificate at once. Of a banned
//! node it concerns whatever comes, until the ban is lifted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entry::EntryId;
use crate::plan::authority::AuthorityId;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// The most serials of one rule that came from a list that was handed back: some 40 KB of a record.
pub const SERIALS_PER_RULE: usize = 1_000;

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RevocationTarget {
    /// What was issued for an entry.
    Entry {
        /// The entry.
        entry: EntryId,
    },
    /// Serials on a list that a node handed back after the server was restored.
    Listed {
        /// The CA whose list it was.
        issuer: AuthorityId,
        /// At most [`SERIALS_PER_RULE`].
        serials: Vec<Serial>,
    },
    /// The SVID of a node, and what was issued through it.
    Node {
        /// The node.
        spiffe_id: SpiffeId,
    },
    /// One certificate.
    Serial {
        /// Its serial number.
        serial: Serial,
    },
    /// What was issued with a SPIFFE ID, by whichever entry.
    SpiffeId {
        /// The identity.
        spiffe_id: SpiffeId,
    },
}

/// Why there is a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationCause {
    /// The node was banned.
    Banned,
    /// The node was evicted.
    Evicted,
    /// A node handed back a list of this server's that the server had forgotten.
    HandedBack,
    /// An operator said so.
    Ordered,
}

/// Until when what is issued falls under a rule.
///
/// A second is long: a workload whose certificate is revoked has the next one within it. So the journal's numbers decide, where it is the journal of the same
/// history of the store; after a restore, with a journal that starts anew, the time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationBound {
    /// What was recorded at this moment or earlier falls under it; absent while the node is banned.
    pub before: Option<Timestamp>,
    /// The last record of the journal then.
    pub through: u64,
    /// The epoch of the store then.
    pub epoch: u64,
}

/// A stored rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRule {
    /// What it is about.
    pub target: RevocationTarget,
    /// Until when what is issued falls under it.
    pub bound: RevocationBound,
    /// When it was made: the revocation date in the lists.
    pub made_at: Timestamp,
    /// The end of the last certificate that it concerns: then the rule is over.
    pub until: Timestamp,
    /// Why there is a rule.
    pub cause: RevocationCause,
    /// What the operator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Who made it.
    pub actor: String,
}

/// A record of the journal, as far as rules ask about it.
#[derive(Debug, Clone, Copy)]
pub struct IssuedCertificate<'a> {
    /// Its number in the journal.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The serial.
    pub serial: &'a Serial,
    /// The identity.
    pub spiffe_id: &'a SpiffeId,
    /// The entry; absent for node and server SVIDs.
    pub entry: Option<&'a EntryId>,
    /// The node that asked.
    pub node: Option<&'a SpiffeId>,
}

impl RevocationBound {
    /// Returns whether what was recorded then falls under it, in a journal of this epoch.
    #[must_use]
    pub fn covers(&self, epoch: u64, seq: u64, at: Timestamp) -> bool {
        match self.before {
            None => true,
            Some(_) if self.epoch == epoch => seq <= self.through,
            Some(before) => at <= before,
        }
    }
}

impl RevocationRule {
    /// Returns whether it revokes a certificate that a journal of this epoch records.
    #[must_use]
    pub fn matches(&self, epoch: u64, issued: &IssuedCertificate<'_>) -> bool {
        let covered = || self.bound.covers(epoch, issued.seq, issued.at);
        match &self.target {
            RevocationTarget::Serial { serial } => serial == issued.serial,
            RevocationTarget::Listed { serials, .. } => serials.contains(issued.serial),
            RevocationTarget::Entry { entry } => issued.entry == Some(entry) && covered(),
            RevocationTarget::SpiffeId { spiffe_id } => issued.spiffe_id == spiffe_id && covered(),
            RevocationTarget::Node { spiffe_id } => (issued.node == Some(spiffe_id) || issued.spiffe_id == spiffe_id) && covered(),
        }
    }

    /// Returns whether everything that it could concern has ended: NotAfter itself is still valid (RFC 5280 section 4.1.2.5).
    ///
    /// What may be a node's SVID is remembered for the grace beyond, in which a node could renew with an ended one.
    #[must_use]
    pub fn is_over(&self, now: Timestamp, grace: Duration) -> bool {
        let kept = match self.target {
            RevocationTarget::Entry { .. } | RevocationTarget::SpiffeId { .. } => Duration::ZERO,
            RevocationTarget::Listed { .. } | RevocationTarget::Node { .. } | RevocationTarget::Serial { .. } => grace,
        };
        self.bound.before.is_some() && self.until + kept < now
    }

    /// Returns whether a node may not renew with this SVID, though it has ended and its record is not in the journal's index any more: it is named, or was issued
    /// before the rule on the node was made.
    #[must_use]
    pub fn refuses_renewal(&self, node: &SpiffeId, serial: &Serial, not_before: Timestamp) -> bool {
        match &self.target {
            RevocationTarget::Serial { serial: revoked } => revoked == serial,
            RevocationTarget::Listed { serials, .. } => serials.contains(serial),
            RevocationTarget::Node { spiffe_id } => spiffe_id == node && (self.bound.before.is_none() || not_before < self.made_at),
            RevocationTarget::Entry { .. } | RevocationTarget::SpiffeId { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
