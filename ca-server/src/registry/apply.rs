//! Applying one commit: the indexes, the recent changes, and the streams of the nodes that are concerned.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use trust_domains::bundle::PartnerBundle;
use trust_domains::federation::Relationship;
use trust_domains::node::{NodeName, NodeRecord};
use trust_domains::revocation::RevocationRule;
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId, TrustDomain};

use super::aliases::Move;
use super::entries::HeldEntry;
use super::feed::PartnerSet;
use super::nodes::HeldNode;
use super::partner_crls::{HeldCrls, PartnerCrlsRecord};
use super::partners::HeldBundle;
use super::records::{self, RecordError};
use super::relationships::HeldRelationship;
use super::state::{HeldRule, HeldToken, State};
use super::{Presence, Registry};
use crate::attestation::identity;
use crate::revocation::CrlNumber;
use crate::store::{Change, Key, Prefix, RecordName};

/// One change of a commit, read.
pub(super) enum RecordChange {
    Bundle(TrustDomain, Option<StoredBundle>),
    /// The revocation lists of a partner.
    BundleCrls(TrustDomain, Option<StoredCrls>),
    Entry(EntryId, Option<RegistrationEntry>),
    Node(NodeName, Option<NodeRecord>),
    Relationship(TrustDomain, Option<Relationship>),
    Token(RecordName, Option<Bytes>),
    Rule(RecordName, Option<RevocationRule>),
    /// The number of the newest revocation lists: with its commit they go out.
    CrlNumber(Option<CrlNumber>),
    /// An authority: what it is, is sealed. Every node hears of the commit, since its acknowledgement is what a new key waits for.
    Authority,
}

/// A partner's bundle as it was read, with the octets of its record.
pub(super) struct StoredBundle {
    partner: PartnerBundle,
    octets: usize,
}

impl StoredBundle {
    fn read(key: &Key, stored: &Bytes) -> Result<Self, RecordError> {
        let partner = records::decode(key, stored)?;
        Ok(Self { partner, octets: stored.len() })
    }

    fn held(self, modified: u64) -> HeldBundle {
        HeldBundle {
            partner: Arc::new(self.partner),
            octets: self.octets,
            modified,
        }
    }
}

/// A partner's revocation lists as they were read, with the octets of their record.
pub(super) struct StoredCrls {
    record: PartnerCrlsRecord,
    octets: usize,
}

impl StoredCrls {
    fn read(key: &Key, stored: &Bytes) -> Result<Self, RecordError> {
        let record = records::decode(key, stored)?;
        Ok(Self { record, octets: stored.len() })
    }

    /// Lists that cannot be read any more are none: it is said, and the next ones take their place.
    fn held(self, partner: &TrustDomain, modified: u64) -> Option<HeldCrls> {
        let read = HeldCrls::read(&self.record, self.octets, modified);
        read.inspect_err(|error| tracing::error!(trust_domain = %partner, %error, "the stored revocation lists of a partner cannot be used"))
            .ok()
    }
}

impl RecordChange {
    /// Reads a change; nothing for a kind of record that the registry does not hold.
    pub(super) fn read(key: &Key, value: Option<&Bytes>) -> Result<Option<Self>, RecordError> {
        let read = if Prefix::BUNDLES.contains(key) {
            let Ok(partner) = key.name().parse() else { return Ok(None) };
            Self::Bundle(partner, value.map(|stored| StoredBundle::read(key, stored)).transpose()?)
        } else if Prefix::BUNDLE_CRLS.contains(key) {
            let Ok(partner) = key.name().parse() else { return Ok(None) };
            Self::BundleCrls(partner, value.map(|stored| StoredCrls::read(key, stored)).transpose()?)
        } else if Prefix::ENTRIES.contains(key) {
            let Ok(id) = key.name().parse() else { return Ok(None) };
            Self::Entry(id, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::FEDERATION.contains(key) {
            let Ok(partner) = key.name().parse() else { return Ok(None) };
            Self::Relationship(partner, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::NODES.contains(key) {
            let Ok(name) = key.name().parse() else { return Ok(None) };
            Self::Node(name, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::TOKENS.contains(key) {
            let Ok(id) = RecordName::new(key.name()) else { return Ok(None) };
            Self::Token(id, value.cloned())
        } else if Prefix::REVOCATIONS.contains(key) {
            let Ok(id) = RecordName::new(key.name()) else { return Ok(None) };
            Self::Rule(id, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if *key == CrlNumber::key() {
            Self::CrlNumber(value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::AUTHORITIES.contains(key) || Prefix::UPSTREAMS.contains(key) {
            Self::Authority
        } else {
            return Ok(None);
        };
        Ok(Some(read))
    }

    /// Reads a change that came while running. A record that this version cannot read gives nobody anything: it counts as taken away.
    fn read_or_withdraw(change: &Change) -> Option<Self> {
        Self::read(&change.key, change.value.as_ref()).unwrap_or_else(|error| {
            tracing::error!(key = %change.key, %error, "a changed record cannot be read and counts as deleted");
            Self::read(&change.key, None).ok().flatten()
        })
    }
}

impl Registry {
    /// Applies one commit. A commit that shows already changes nothing.
    pub(super) fn apply(&self, revision: Revision, changes: &[Change]) {
        let changes: Vec<_> = changes.iter().filter_map(RecordChange::read_or_withdraw).collect();
        let concerns_rules = changes.iter().any(|change| matches!(change, RecordChange::Rule(..)));
        let concerns_relationships = changes.iter().any(|change| matches!(change, RecordChange::Relationship(..)));
        let mut state = self.write();
        state.counter = state.counter.max(revision.counter);
        for change in changes {
            match change {
                RecordChange::CrlNumber(Some(CrlNumber { number })) => {
                    // What waits for another number goes on waiting.
                    let staged = self
                        .staged
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take_if(|staged| staged.number == number);
                    state.crls.publish(revision.counter, number, staged);
                    self.presence.mark_all(revision.counter);
                }
                change => state.apply(revision.counter, change, &self.presence),
            }
        }
        drop(state);
        if concerns_rules {
            self.rules.send_replace(revision.counter);
        }
        if concerns_relationships {
            self.relationships.send_replace(revision.counter);
        }
        self.progress.send_modify(|progress| progress.counter = progress.counter.max(revision.counter));
    }
}

impl State {
    /// Puts in a record that was read at the start: no agent is told, and nothing is a recent change.
    pub(super) fn load(&mut self, modified: u64, change: RecordChange) {
        match change {
            RecordChange::Bundle(_, Some(stored)) => self.partners.insert(stored.held(modified)),
            RecordChange::BundleCrls(partner, Some(stored)) => self.partners.put_crls(&partner, stored.held(&partner, modified), modified),
            RecordChange::Entry(_, Some(entry)) => {
                let entry = self.entries.sharing(entry);
                let entry = Arc::new(entry);
                let before = self.entries.find(entry.id()).map(|held| Arc::clone(&held.entry));
                self.partners.exchange(before.as_deref(), Some(&entry));
                self.aliases.exchange(before.as_ref(), Some(&entry), &self.nodes);
                self.entries.insert(HeldEntry { entry, modified });
            }
            RecordChange::Node(_, Some(record)) => {
                let record = Arc::new(record);
                let held = HeldNode {
                    record: Arc::clone(&record),
                    modified,
                };
                let previous = self.nodes.insert(held);
                self.aliases.node_changed(previous.as_ref().map(|held| &*held.record), Some(&record));
            }
            RecordChange::Relationship(_, Some(relationship)) => drop(self.hold_relationship(modified, relationship)),
            RecordChange::Token(id, Some(sealed)) => {
                self.tokens.insert(id, HeldToken { sealed, modified });
            }
            RecordChange::Rule(id, Some(rule)) => self.hold_rule(modified, id, rule),
            RecordChange::CrlNumber(Some(CrlNumber { number })) => self.crls.loaded(number),
            RecordChange::Authority
            | RecordChange::Bundle(_, None)
            | RecordChange::BundleCrls(_, None)
            | RecordChange::CrlNumber(None)
            | RecordChange::Relationship(_, None)
            | RecordChange::Rule(_, None)
            | RecordChange::Entry(_, None)
            | RecordChange::Node(_, None)
            | RecordChange::Token(_, None) => {}
        }
    }

    fn apply(&mut self, counter: u64, change: RecordChange, presence: &Presence) {
        match change {
            RecordChange::Bundle(partner, now) => self.apply_bundle(counter, partner, now, presence),
            RecordChange::BundleCrls(partner, now) => {
                let held = now.and_then(|stored| stored.held(&partner, counter));
                self.partners.put_crls(&partner, held, counter);
                self.tell_partner(counter, partner, presence);
            }
            RecordChange::Entry(id, now) => self.apply_entry(counter, id, now, presence),
            RecordChange::Node(name, now) => self.apply_node(counter, &name, now, presence),
            RecordChange::Relationship(partner, now) => self.apply_relationship(counter, &partner, now, presence),
            RecordChange::Token(id, Some(sealed)) => {
                self.tokens.insert(id, HeldToken { sealed, modified: counter });
            }
            RecordChange::Token(id, None) => {
                self.tokens.remove(&id);
            }
            RecordChange::Rule(id, Some(rule)) => self.hold_rule(counter, id, rule),
            RecordChange::Rule(id, None) => {
                self.rules.remove(&id);
            }
            // A number that goes up is taken in with what was staged for it; one that is gone says nothing.
            RecordChange::CrlNumber(_) => {}
            RecordChange::Authority => presence.mark_all(counter),
        }
    }

    fn hold_rule(&mut self, modified: u64, id: RecordName, rule: RevocationRule) {
        self.rules.insert(
            id,
            HeldRule {
                rule: Arc::new(rule),
                modified,
            },
        );
    }

    fn apply_entry(&mut self, counter: u64, id: EntryId, now: Option<RegistrationEntry>, presence: &Presence) {
        let now = now.map(|entry| HeldEntry {
            entry: Arc::new(self.entries.sharing(entry)),
            modified: counter,
        });
        let previous = match &now {
            Some(held) => self.entries.insert(held.clone()),
            None => self.entries.remove(&id),
        };
        let given_others = self
            .partners
            .exchange(previous.as_ref().map(|held| &*held.entry), now.as_ref().map(|held| &*held.entry));
        let partners = |parent: &SpiffeId| {
            if given_others.contains(parent) {
                PartnerSet::Changed
            } else {
                PartnerSet::Same
            }
        };
        let parent_now = now.as_ref().map(|held| held.entry.parent_id().clone());
        let parent_before = previous.as_ref().map(|held| held.entry.parent_id().clone());
        // A node that has both parents is told that the entry is gone, and then what it is: the last counts.
        if let Some(left) = parent_before.filter(|left| Some(left) != parent_now.as_ref()) {
            for node in self.aliases.nodes_under(&left) {
                presence.push(node, counter, &id, None, partners(&left));
            }
            self.recent.note(counter, left, id.clone());
        }
        if let Some(parent) = parent_now {
            for node in self.aliases.nodes_under(&parent) {
                presence.push(node, counter, &id, now.as_ref(), partners(&parent));
            }
            self.recent.note(counter, parent, id);
        }
        let moves = self
            .aliases
            .exchange(previous.map(|held| held.entry).as_ref(), now.map(|held| held.entry).as_ref(), &self.nodes);
        self.tell_moves(counter, moves, presence);
    }

    /// Tells nodes that got an alias or lost one what that gives them or takes from them, entry by entry.
    fn tell_moves(&mut self, counter: u64, moves: Vec<Move>, presence: &Presence) {
        for Move { node, alias, joined } in moves {
            let partners = if self.partners.gives_any(&alias) {
                PartnerSet::Changed
            } else {
                PartnerSet::Same
            };
            for held in self.entries.under(&alias) {
                presence.push(&node, counter, held.entry.id(), joined.then_some(held), partners);
                self.recent.note(counter, node.clone(), held.entry.id().clone());
            }
        }
    }

    /// A change of a bundle is told to the nodes that need it, and remembered once for all of them.
    fn apply_bundle(&mut self, counter: u64, partner: TrustDomain, now: Option<StoredBundle>, presence: &Presence) {
        match now {
            Some(stored) => self.partners.insert(stored.held(counter)),
            None => self.partners.remove(&partner, counter),
        }
        self.tell_partner(counter, partner, presence);
    }

    fn tell_partner(&mut self, counter: u64, partner: TrustDomain, presence: &Presence) {
        for node in self.nodes_federating(&partner) {
            presence.push_partners(&node, counter);
        }
        self.recent.note_partner(counter, partner);
    }

    /// Takes a relationship in; returns whether its partner became every entry's, or is so no longer.
    fn hold_relationship(&mut self, modified: u64, relationship: Relationship) -> bool {
        let changed = self.partners.give_to_all(relationship.trust_domain(), relationship.all_entries());
        self.relationships.insert(HeldRelationship {
            relationship: Arc::new(relationship),
            modified,
        });
        changed
    }

    /// Nodes hear of a relationship only where it changes whom every entry federates with; its bundle is a record of its own.
    fn apply_relationship(&mut self, counter: u64, partner: &TrustDomain, now: Option<Relationship>, presence: &Presence) {
        let changed = match now {
            Some(relationship) => self.hold_relationship(counter, relationship),
            None => {
                self.relationships.remove(partner);
                self.partners.give_to_all(partner, false)
            }
        };
        if !changed {
            return;
        }
        self.recent.note_everyones(counter);
        if self.partners.find(partner).is_some() {
            for node in self.nodes.listed(None) {
                presence.push_partners(node.record.spiffe_id(), counter);
            }
        }
    }

    fn apply_node(&mut self, counter: u64, name: &NodeName, now: Option<NodeRecord>, presence: &Presence) {
        let previous = match now {
            Some(record) => self.nodes.insert(HeldNode {
                record: Arc::new(record),
                modified: counter,
            }),
            None => self.nodes.remove(name),
        };
        let now = self.nodes.named(name).map(|held| Arc::clone(&held.record));
        let moves = self.aliases.node_changed(previous.as_ref().map(|held| &*held.record), now.as_deref());
        self.tell_moves(counter, moves, presence);
        let concerned = self.nodes.named(name).map(|held| held.record.spiffe_id().clone()).into_iter();
        for node in concerned.chain(previous.map(|held| held.record.spiffe_id().clone())) {
            let record = self.nodes.find(&node).map(|held| &*held.record);
            presence.judge(&node, |key| identity::judge(&node, record, key));
            if record.is_none() {
                presence.forget(&node);
            }
        }
    }
}
