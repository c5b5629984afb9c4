//! What the registry holds, as it is after one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::revocation::RevocationRule;
use trust_domains::{RegistrationEntry, SpiffeId, TrustDomain};

use super::aliases::AliasIndex;
use super::changes::{ChangeLog, RECENT_CHANGES};
use super::crls::PublishedCrls;
use super::entries::{EntryIndex, HeldEntry};
use super::nodes::NodeIndex;
use super::partners::{Federated, PartnerIndex};
use super::relationships::RelationshipIndex;
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
    /// Which nodes have which aliases.
    pub aliases: AliasIndex,
    /// The entries.
    pub entries: EntryIndex,
    /// The nodes.
    pub nodes: NodeIndex,
    /// The bundles of partners, and who needs them.
    pub partners: PartnerIndex,
    /// The relationships with partners.
    pub relationships: RelationshipIndex,
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
            aliases: AliasIndex::default(),
            entries: EntryIndex::default(),
            nodes: NodeIndex::default(),
            partners: PartnerIndex::default(),
            relationships: RelationshipIndex::default(),
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

    /// Returns the entries that a node has: those under it and those under its aliases, in no order. Each has one parent, so it comes once.
    pub fn entries_of<'a>(&'a self, node: &'a SpiffeId) -> impl Iterator<Item = &'a HeldEntry> {
        self.aliases.parents_of(node).flat_map(|parent| self.entries.under(parent))
    }

    /// Returns whether a node has an entry.
    #[must_use]
    pub fn gives(&self, node: &SpiffeId, entry: &RegistrationEntry) -> bool {
        entry.parent_id() == node || self.aliases.has(node, entry.parent_id())
    }

    /// Returns what a node is given of partners: the bundles and lists of those that at least one of its entries federates with, of those that every entry has, and no
    /// others.
    #[must_use]
    pub fn federated_of(&self, node: &SpiffeId) -> Federated {
        self.partners.given_to(self.aliases.parents_of(node))
    }

    /// Returns whether the node has the partner's bundle, once there is one.
    #[must_use]
    pub fn needs(&self, node: &SpiffeId, partner: &TrustDomain) -> bool {
        self.partners.is_everyones(partner) || self.aliases.parents_of(node).any(|parent| self.partners.needs(parent, partner))
    }

    /// Returns the nodes with entries that federate with a partner: all where every entry does.
    #[must_use]
    pub fn nodes_federating(&self, partner: &TrustDomain) -> BTreeSet<SpiffeId> {
        if self.partners.is_everyones(partner) {
            return self.nodes.listed(None).map(|held| held.record.spiffe_id().clone()).collect();
        }
        let parents = self.partners.parents_of(partner).map(|(parent, _)| parent);
        parents.flat_map(|parent| self.aliases.nodes_under(parent)).cloned().collect()
    }

    /// Returns how many entries federate with a partner.
    #[must_use]
    pub fn entries_federating(&self, partner: &TrustDomain) -> usize {
        match self.partners.is_everyones(partner) {
            true => self.entries.len(),
            false => self.partners.entries_of(partner),
        }
    }

    /// Returns the newest commit that changed the bundle of a partner, as far back as this process knows: while it stays, so do all of them.
    #[must_use]
    pub const fn partners_changed_at(&self) -> u64 {
        self.recent.partners_changed_at()
    }

    /// Returns the counter of the commit.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }
}
