//! What the registry holds, as it is after one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::revocation::RevocationRule;

use super::changes::{ChangeLog, RECENT_CHANGES};
use super::crls::PublishedCrls;
use super::entries::EntryIndex;
use super::nodes::NodeIndex;
use super::partners::PartnerIndex;
use crate::store::RecordName;

/// A join token's sealed record with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldToken {
    /// The record, sealed.
    pub sealed: Bytes,
    /// The counter of the commit.
    pub modified: u64,
}

/// A rule of revocation with the commit that last changed it.
#[derive(Debug, Clone)]
pub struct HeldRule {
    /// The rule.
    pub rule: Arc<RevocationRule>,
    /// The counter of the commit.
    pub modified: u64,
}

/// Entries, nodes, tokens and the bundles of partners after one commit.
#[derive(Debug)]
pub struct State {
    pub(super) counter: u64,
    pub(super) recent: ChangeLog,
    /// The entries.
    pub entries: EntryIndex,
    /// The nodes.
    pub nodes: NodeIndex,
    /// The bundles of partners, and who needs them.
    pub partners: PartnerIndex,
    /// The join tokens by their ids.
    pub tokens: BTreeMap<RecordName, HeldToken>,
    /// The rules of revocation by their ids.
    pub rules: BTreeMap<RecordName, HeldRule>,
    /// The revocation lists that are out.
    pub crls: PublishedCrls,
}

impl State {
    pub(super) fn empty_at(counter: u64) -> Self {
        Self {
            counter,
            recent: ChangeLog::starting_at(counter, RECENT_CHANGES),
            entries: EntryIndex::default(),
            nodes: NodeIndex::default(),
            partners: PartnerIndex::default(),
            tokens: BTreeMap::new(),
            rules: BTreeMap::new(),
            crls: PublishedCrls::default(),
        }
    }

    /// Returns whether revocation lists are delivered: once a rule was ever stored, or a list ever signed.
    #[must_use]
    pub fn uses_crls(&self) -> bool {
        self.crls.number().is_some() || !self.rules.is_empty()
    }

    /// Returns the counter of the commit.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
}
