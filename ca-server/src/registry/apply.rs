//! Applying one commit: the indexes, the recent changes, and the streams of the nodes that are concerned.

use std::sync::Arc;

use bytes::Bytes;
use trust_domains::node::{NodeName, NodeRecord};
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId};

use super::entries::HeldEntry;
use super::nodes::HeldNode;
use super::records::{self, RecordError};
use super::state::{HeldToken, State};
use super::{Presence, Registry};
use crate::attestation::identity;
use crate::store::{Change, Key, Prefix, RecordName};

/// One change of a commit, read.
pub(super) enum RecordChange {
    Entry(EntryId, Option<RegistrationEntry>),
    Node(NodeName, Option<NodeRecord>),
    Token(RecordName, Option<Bytes>),
    /// An authority: what it is, is sealed. Every node hears of the commit, since its acknowledgement is what a new key waits for.
    Authority,
}

impl RecordChange {
    /// Reads a change; nothing for a kind of record that the registry does not hold.
    pub(super) fn read(key: &Key, value: Option<&Bytes>) -> Result<Option<Self>, RecordError> {
        let read = if Prefix::ENTRIES.contains(key) {
            let Ok(id) = key.name().parse() else { return Ok(None) };
            Self::Entry(id, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::NODES.contains(key) {
            let Ok(name) = key.name().parse() else { return Ok(None) };
            Self::Node(name, value.map(|stored| records::decode(key, stored)).transpose()?)
        } else if Prefix::TOKENS.contains(key) {
            let Ok(id) = RecordName::new(key.name()) else { return Ok(None) };
            Self::Token(id, value.cloned())
        } else if Prefix::AUTHORITIES.contains(key) {
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
        let mut state = self.write();
        state.counter = state.counter.max(revision.counter);
        for change in changes {
            state.apply(revision.counter, change, &self.presence);
        }
        drop(state);
        self.progress.send_modify(|progress| progress.counter = progress.counter.max(revision.counter));
    }
}

impl State {
    /// Puts in a record that was read at the start: no agent is told, and nothing is a recent change.
    pub(super) fn load(&mut self, modified: u64, change: RecordChange) {
        match change {
            RecordChange::Entry(_, Some(entry)) => {
                let entry = self.entries.sharing(entry);
                self.entries.insert(HeldEntry {
                    entry: Arc::new(entry),
                    modified,
                });
            }
            RecordChange::Node(_, Some(record)) => {
                self.nodes.insert(HeldNode {
                    record: Arc::new(record),
                    modified,
                });
            }
            RecordChange::Token(id, Some(sealed)) => {
                self.tokens.insert(id, HeldToken { sealed, modified });
            }
            RecordChange::Entry(_, None) | RecordChange::Node(_, None) | RecordChange::Token(_, None) | RecordChange::Authority => {}
        }
    }

    fn apply(&mut self, counter: u64, change: RecordChange, presence: &Presence) {
        match change {
            RecordChange::Entry(id, now) => self.apply_entry(counter, id, now, presence),
            RecordChange::Node(name, now) => self.apply_node(counter, &name, now, presence),
            RecordChange::Token(id, Some(sealed)) => {
                self.tokens.insert(id, HeldToken { sealed, modified: counter });
            }
            RecordChange::Token(id, None) => {
                self.tokens.remove(&id);
            }
            RecordChange::Authority => presence.mark_all(counter),
        }
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
        let node_now = now.as_ref().map(|held| held.entry.parent_id().clone());
        if let Some(left) = previous
            .map(|held| held.entry.parent_id().clone())
            .filter(|left| Some(left) != node_now.as_ref())
        {
            self.tell(counter, left, &id, None, presence);
        }
        if let Some(node) = node_now {
            self.tell(counter, node, &id, now.as_ref(), presence);
        }
    }

    fn tell(&mut self, counter: u64, node: SpiffeId, id: &EntryId, now: Option<&HeldEntry>, presence: &Presence) {
        presence.push(&node, counter, id, now);
        self.recent.note(counter, node, id.clone());
    }

    fn apply_node(&mut self, counter: u64, name: &NodeName, now: Option<NodeRecord>, presence: &Presence) {
        let previous = match now {
            Some(record) => self.nodes.insert(HeldNode {
                record: Arc::new(record),
                modified: counter,
            }),
            None => self.nodes.remove(name),
        };
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
