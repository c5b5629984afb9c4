//! What the registry holds, as it is after one commit.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::changes::{ChangeLog, RECENT_CHANGES};
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
        }
    }

    /// Returns the counter of the commit.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
}
