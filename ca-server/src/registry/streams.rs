//! Opening a node's stream: what it is told first, and what comes after, without a gap in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use trust_domains::public_key::KeyHash;
use trust_domains::wire::crls::{CrlsChange, CrlsWhole};
use trust_domains::{EntryId, Revision, SpiffeId, Timestamp};

use super::entries::HeldEntry;
use super::feed::FeedEvent;
use super::partners::Federated;
use super::{OpenStream, Registry, State};
use crate::attestation::{NodeRefused, identity};

/// What a stream is told first.
#[derive(Debug)]
pub enum Start {
    /// The agent shows an earlier commit of this epoch; these entries changed since, nothing where they are gone.
    Resume {
        /// The commit that the agent shows with them.
        revision: Revision,
        /// The changes.
        changes: BTreeMap<EntryId, Option<HeldEntry>>,
        /// All bundles of the node's partners, when they may be others than those that the agent has.
        federated: Option<Federated>,
        /// What became of the revocation lists since.
        crls: Vec<CrlsChange>,
    },
    /// Everything that the node has.
    Snapshot {
        /// The commit.
        revision: Revision,
        /// The entries, by id.
        entries: Vec<HeldEntry>,
        /// The bundles of the node's partners, and the lists that go with them.
        federated: Federated,
        /// The revocation lists, if any are delivered.
        crls: Option<CrlsWhole>,
    },
}

impl Registry {
    /// Opens a stream for a node that proved a key and shows a commit, or nothing yet.
    ///
    /// No commit is applied while it opens: the start and the changes after it meet.
    ///
    /// # Errors
    /// The node may not be served any more.
    pub fn open_stream(&self, node: &SpiffeId, key: KeyHash, shows: Option<Revision>) -> Result<(Arc<OpenStream>, Start), NodeRefused> {
        let state = self.read();
        identity::judge(node, state.nodes.find(node).map(|held| &*held.record), &key)?;
        let stream = OpenStream::new(key, state.counter());
        let resumed = shows.filter(|shown| shown.epoch == self.epoch && shown.counter <= state.counter());
        let (resumed_at, start) = match resumed.and_then(|shown| Some((shown.counter, state.changes_since(shown.counter, node)?))) {
            Some((counter, changes)) => {
                // An entry that changed may have been the first or the last that asks for a bundle.
                let others = !changes.is_empty()
                    || state.recent.everyones_partners_since(counter)
                    || state.recent.partners_since(counter).any(|partner| state.needs(node, partner));
                let start = Start::Resume {
                    revision: self.at(state.counter()),
                    changes,
                    federated: others.then(|| state.federated_of(node)),
                    crls: state.crls.since(counter),
                };
                (Some(counter), start)
            }
            None => (None, self.snapshot_of(&state, node)),
        };
        self.presence.open(node, Arc::clone(&stream), resumed_at);
        Ok((stream, start))
    }

    /// Waits until a stream is to be told something: the changes of whole commits. Cancel safe.
    pub async fn next_event(&self, stream: &OpenStream) -> FeedEvent {
        stream.feed.next(|| self.read()).await
    }

    /// Starts a stream again with a snapshot, after it fell too far behind.
    pub fn restart_stream(&self, node: &SpiffeId, stream: &OpenStream) -> Start {
        let state = self.read();
        stream.feed.restart(state.counter());
        self.snapshot_of(&state, node)
    }

    /// Closes a stream that is over.
    pub fn close_stream(&self, node: &SpiffeId, stream: &Arc<OpenStream>, now: Timestamp) {
        let is_known = self.read().nodes.find(node).is_some();
        self.presence.close(node, stream, is_known, now);
    }

    /// Returns the newest commit when nothing waits for the stream: it shows that one too.
    #[must_use]
    pub fn quiet_at(&self, stream: &OpenStream) -> Option<Revision> {
        let state = self.read();
        stream.feed.is_quiet().then(|| self.at(state.counter()))
    }

    fn snapshot_of(&self, state: &State, node: &SpiffeId) -> Start {
        let mut entries: Vec<_> = state.entries_of(node).cloned().collect();
        entries.sort_by(|one, other| one.entry.id().cmp(other.entry.id()));
        Start::Snapshot {
            revision: self.at(state.counter()),
            entries,
            federated: state.federated_of(node),
            crls: state.crls.whole(),
        }
    }

    /// Returns what a stream must hear of the revocation lists that was told everything up to a commit, and the commit up to which it is told then.
    pub fn crls_since(&self, told: u64) -> (Vec<CrlsChange>, u64) {
        let state = self.read();
        (state.crls.since(told), state.counter())
    }

    /// Returns the bundles of a node's partners, and the lists that go with them.
    pub fn federated(&self, node: &SpiffeId) -> Federated {
        self.read().federated_of(node)
    }
}

impl State {
    fn changes_since(&self, after: u64, node: &SpiffeId) -> Option<BTreeMap<EntryId, Option<HeldEntry>>> {
        let parents: Vec<_> = self.aliases.parents_of(node).collect();
        let ids = self.recent.since(after, &parents)?;
        let now = |id: EntryId| {
            let held = self.entries.find(&id).filter(|held| self.gives(node, &held.entry)).cloned();
            (id, held)
        };
        Some(ids.into_iter().map(now).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;
    use crate::registry::feed::PartnerSet;

    #[test]
    fn half_a_commit_is_never_told() {
        let registry = Registry::starting_with(1, State::empty_at(0));
        let stream = OpenStream::new(KeyHash::of_spki(b"key"), 0);
        let commit = registry.write();
        let push = |id: &str| stream.feed.push(7, &id.parse().unwrap(), None, PartnerSet::Same);
        push("a");
        let (tell, told) = channel();
        let teller = {
            let (registry, stream) = (Arc::clone(&registry), Arc::clone(&stream));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                tell.send(runtime.block_on(registry.next_event(&stream))).unwrap();
            })
        };
        assert_eq!(told.recv_timeout(Duration::from_millis(100)).unwrap_err(), RecvTimeoutError::Timeout);
        push("b");
        drop(commit);
        let FeedEvent::Changed { counter, changes, .. } = told.recv_timeout(Duration::from_secs(10)).unwrap() else {
            panic!("nothing was lost")
        };
        assert_eq!((counter, changes.len()), (7, 2));
        teller.join().unwrap();
    }
}
