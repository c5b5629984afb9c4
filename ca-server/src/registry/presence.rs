//! Which nodes have a stream open, what they acknowledged, and the end of their streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::node::NodeRecord;
use trust_domains::plan::authority::Missing;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::KeyHash;
use trust_domains::{EntryId, SpiffeId, Timestamp};

use super::entries::HeldEntry;
use super::feed::{Feed, PartnerSet};
use crate::attestation::NodeRefused;

/// The most streams of one node: the one in use, and the one of a lost connection that nobody has noticed yet.
pub const STREAMS_PER_NODE: usize = 2;

/// How long a node whose stream ended counts as one that is about to be connected again: an agent waits at most 10 s before it tries.
pub const RECONNECTING: Duration = Duration::from_secs(15);

/// Why a stream ends.
#[derive(Debug, Clone, Error)]
pub enum StreamEnd {
    /// The node may not be served any more.
    #[error(transparent)]
    Refused(NodeRefused),
    /// The node uses the key of a later SVID: it connects again with that one.
    #[error("node {node} uses a later SVID than the one that opened this connection")]
    Renewed {
        /// The node.
        node: SpiffeId,
    },
    /// The node opened more streams than it may have; the oldest ends.
    #[error("the node opened a newer stream; {limit} may be open at once")]
    Replaced {
        /// The most at once.
        limit: usize,
    },
    /// The server ends.
    #[error("the server is ending")]
    Shutdown,
}

impl Coded for StreamEnd {
    fn code(&self) -> Code {
        match self {
            Self::Refused(refused) => refused.code(),
            // Not `node_unknown`: the key was the node's when the stream began, and whoever renewed it is no stranger.
            Self::Renewed { .. } => Code::ConnectionIdentityExpired,
            Self::Replaced { .. } => Code::TooManyRequests,
            Self::Shutdown => Code::CannotReach,
        }
    }
}

impl From<NodeRefused> for StreamEnd {
    fn from(refused: NodeRefused) -> Self {
        match refused {
            NodeRefused::KeyReplaced { node } => Self::Renewed { node },
            refused => Self::Refused(refused),
        }
    }
}

/// One open stream.
#[derive(Debug)]
pub struct OpenStream {
    /// The key that its connection proved.
    pub key: KeyHash,
    /// What waits for it.
    pub feed: Feed,
    /// Cancelled when it must end.
    pub ended: CancellationToken,
    cause: OnceLock<StreamEnd>,
}

impl OpenStream {
    /// Returns a stream of a connection that proved this key, told everything up to this commit.
    #[must_use]
    pub fn new(key: KeyHash, counter: u64) -> Arc<Self> {
        Arc::new(Self {
            key,
            feed: Feed::after(counter),
            ended: CancellationToken::new(),
            cause: OnceLock::new(),
        })
    }

    /// Ends the stream; the first cause counts.
    pub fn end(&self, cause: StreamEnd) {
        // A cause that is set already stays.
        let _ = self.cause.set(cause);
        self.ended.cancel();
    }

    /// Returns why the stream was ended.
    #[must_use]
    pub fn cause(&self) -> StreamEnd {
        self.cause.get().cloned().unwrap_or(StreamEnd::Shutdown)
    }
}

/// How a node stands to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has no stream open.
    Away {
        /// Since when; unknown when it was not seen by this process.
        since: Option<Timestamp>,
    },
    /// It is connected and does not show the commit yet.
    Behind,
    /// It is connected and shows it.
    Shows,
}

/// The open streams of every node.
#[derive(Debug)]
pub struct Presence {
    nodes: Mutex<HashMap<SpiffeId, NodePresence>>,
    /// When it was first asked who is connected, right after the start.
    first_asked: OnceLock<Timestamp>,
    moved: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct NodePresence {
    /// The newest last.
    streams: Vec<Arc<OpenStream>>,
    acknowledged: Option<u64>,
    away_since: Option<Timestamp>,
}

impl NodePresence {
    fn judge(&self, judge: impl Fn(&KeyHash) -> Result<(), NodeRefused>) {
        for stream in &self.streams {
            if let Err(refused) = judge(&stream.key) {
                stream.end(refused.into());
            }
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            nodes: Mutex::default(),
            first_asked: OnceLock::new(),
            moved: watch::Sender::new(()),
        }
    }
}

impl Presence {
    /// Notes a new stream of a node that resumed at a commit, or starts from nothing. The oldest stream over the limit ends.
    pub fn open(&self, node: &SpiffeId, stream: Arc<OpenStream>, resumed_at: Option<u64>) {
        let mut nodes = self.nodes();
        let presence = nodes.entry(node.clone()).or_default();
        // An agent that starts from nothing shows nothing, whatever an earlier one acknowledged.
        presence.acknowledged = resumed_at.and_then(|resumed| Some(presence.acknowledged?.min(resumed)));
        presence.away_since = None;
        presence.streams.push(stream);
        while presence.streams.len() > STREAMS_PER_NODE {
            presence.streams.remove(0).end(StreamEnd::Replaced { limit: STREAMS_PER_NODE });
        }
        drop(nodes);
        self.moved.send_replace(());
    }

    /// Notes that a stream is over. A node that is known no more is forgotten with its last stream.
    pub fn close(&self, node: &SpiffeId, stream: &Arc<OpenStream>, is_known: bool, now: Timestamp) {
        let mut nodes = self.nodes();
        if let Some(presence) = nodes.get_mut(node) {
            presence.streams.retain(|open| !Arc::ptr_eq(open, stream));
            if presence.streams.is_empty() {
                presence.away_since = Some(now);
                if !is_known {
                    nodes.remove(node);
                }
            }
        }
        drop(nodes);
        self.moved.send_replace(());
    }

    /// Notes that a node shows everything up to a commit.
    pub fn acknowledge(&self, node: &SpiffeId, counter: u64) {
        let mut nodes = self.nodes();
        if let Some(presence) = nodes.get_mut(node) {
            presence.acknowledged = presence.acknowledged.max(Some(counter));
        }
        drop(nodes);
        self.moved.send_replace(());
    }

    /// Tells the streams of a node that an entry changed.
    pub fn push(&self, node: &SpiffeId, counter: u64, id: &EntryId, now: Option<&HeldEntry>, partners: PartnerSet) {
        if let Some(presence) = self.nodes().get(node) {
            presence.streams.iter().for_each(|stream| stream.feed.push(counter, id, now, partners));
        }
    }

    /// Tells the streams of a node that it is given other bundles of partners.
    pub fn push_partners(&self, node: &SpiffeId, counter: u64) {
        if let Some(presence) = self.nodes().get(node) {
            presence.streams.iter().for_each(|stream| stream.feed.push_partners(counter));
        }
    }

    /// Tells every stream of a commit that concerns all nodes and changed no entry.
    pub fn mark_all(&self, counter: u64) {
        self.nodes()
            .values()
            .flat_map(|presence| &presence.streams)
            .for_each(|stream| stream.feed.mark(counter));
    }

    /// Returns those of these nodes that have not acknowledged a commit or a later one. A node that acknowledged it and went away has.
    pub fn missing<'a>(&self, nodes: impl Iterator<Item = &'a NodeRecord>, counter: u64) -> Missing {
        self.missing_where(nodes, counter, |_| true)
    }

    /// Returns those of these nodes that are connected, or about to be again, and have not acknowledged a commit or a later one.
    ///
    /// A node that renews its SVID connects anew, and all nodes do after a start of the server: for [`RECONNECTING`] they count as connected. Else an emergency
    /// would be over before those took part in it whom it concerns most.
    pub fn missing_connected<'a>(&self, nodes: impl Iterator<Item = &'a NodeRecord>, counter: u64, now: Timestamp) -> Missing {
        let first_asked = *self.first_asked.get_or_init(|| now);
        let reconnects = |since: Timestamp| since <= now && now < since + RECONNECTING;
        self.missing_where(nodes, counter, |presence| match presence {
            Some(node) if !node.streams.is_empty() => true,
            Some(node) => node.away_since.is_some_and(reconnects),
            None => reconnects(first_asked),
        })
    }

    fn missing_where<'a>(&self, nodes: impl Iterator<Item = &'a NodeRecord>, counter: u64, counts: impl Fn(Option<&NodePresence>) -> bool) -> Missing {
        let known = self.nodes();
        let mut missing = Missing::default();
        for node in nodes {
            let presence = known.get(node.spiffe_id());
            let has = presence.is_some_and(|node| node.acknowledged >= Some(counter));
            if !has && counts(presence) {
                missing.push(node.name());
            }
        }
        missing
    }

    /// Tells every stream that changes were missed.
    pub fn lose_all(&self, counter: u64) {
        self.nodes()
            .values()
            .flat_map(|presence| &presence.streams)
            .for_each(|stream| stream.feed.lose(counter));
    }

    /// Judges the streams of a node anew, by the key that their connection proved, and ends those that are refused.
    pub fn judge(&self, node: &SpiffeId, judge: impl Fn(&KeyHash) -> Result<(), NodeRefused>) {
        if let Some(presence) = self.nodes().get(node) {
            presence.judge(judge);
        }
    }

    /// Judges every stream anew, as [`judge`](Self::judge).
    pub fn judge_all(&self, judge: impl Fn(&SpiffeId, &KeyHash) -> Result<(), NodeRefused>) {
        for (node, presence) in &*self.nodes() {
            presence.judge(|key| judge(node, key));
        }
    }

    /// Forgets when a node that was removed was last seen, if it has no stream open.
    pub fn forget(&self, node: &SpiffeId) {
        let mut nodes = self.nodes();
        if nodes.get(node).is_some_and(|presence| presence.streams.is_empty()) {
            nodes.remove(node);
        }
    }

    /// Returns how a node stands to a commit.
    #[must_use]
    pub fn standing(&self, node: &SpiffeId, counter: u64) -> Standing {
        let nodes = self.nodes();
        let Some(presence) = nodes.get(node) else {
            return Standing::Away { since: None };
        };
        let Some(stream) = presence.streams.last() else {
            return Standing::Away { since: presence.away_since };
        };
        // Later commits that do not concern the node are not acknowledged one by one: what counts is the last that did.
        let due = counter.min(stream.feed.concerned());
        if presence.acknowledged.is_some_and(|acknowledged| acknowledged >= due) {
            Standing::Shows
        } else {
            Standing::Behind
        }
    }

    /// Returns the commit that a connected node acknowledged last.
    #[must_use]
    pub fn acknowledged(&self, node: &SpiffeId) -> Option<u64> {
        self.nodes().get(node).filter(|presence| !presence.streams.is_empty())?.acknowledged
    }

    /// Returns whether the node has a stream open.
    #[must_use]
    pub fn is_connected(&self, node: &SpiffeId) -> bool {
        self.nodes().get(node).is_some_and(|presence| !presence.streams.is_empty())
    }

    /// Returns how many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.nodes().values().map(|presence| presence.streams.len()).sum()
    }

    /// Returns a receiver that is woken when a node connects, leaves or acknowledges.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<SpiffeId, NodePresence>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> SpiffeId {
        "spiffe://example.org/troth/agent/join_token/a".parse().unwrap()
    }

    fn key(number: u8) -> KeyHash {
        KeyHash::of_spki(&[number])
    }

    const NOW: Timestamp = Timestamp::from_unix(1_000);

    #[test]
    fn a_node_shows_a_commit_when_it_acknowledged_the_last_one_that_concerned_it() {
        let presence = Presence::default();
        assert_eq!(presence.standing(&node(), 5), Standing::Away { since: None });
        let stream = OpenStream::new(key(1), 4);
        presence.open(&node(), Arc::clone(&stream), None);
        assert_eq!(presence.standing(&node(), 9), Standing::Behind, "the snapshot is not acknowledged yet");
        presence.acknowledge(&node(), 4);
        assert_eq!(presence.standing(&node(), 9), Standing::Shows, "commits 5 to 9 concerned others");
        presence.push(&node(), 7, &"e".parse().unwrap(), None, PartnerSet::Same);
        assert_eq!(presence.standing(&node(), 9), Standing::Behind);
        presence.acknowledge(&node(), 7);
        assert_eq!(presence.standing(&node(), 9), Standing::Shows);
        presence.close(&node(), &stream, true, NOW);
        assert_eq!(presence.standing(&node(), 9), Standing::Away { since: Some(NOW) });
    }

    #[test]
    fn an_agent_that_starts_from_nothing_shows_nothing() {
        let presence = Presence::default();
        presence.open(&node(), OpenStream::new(key(1), 4), None);
        presence.acknowledge(&node(), 4);
        presence.open(&node(), OpenStream::new(key(1), 4), Some(4));
        assert_eq!(presence.acknowledged(&node()), Some(4), "it resumed");
        presence.open(&node(), OpenStream::new(key(1), 4), None);
        assert_eq!(presence.standing(&node(), 4), Standing::Behind);
    }

    #[test]
    fn a_commit_of_the_authorities_is_told_to_every_stream_and_missing_until_it_is_acknowledged() {
        use trust_domains::node::NodeSvid;
        use trust_domains::{SelectorSet, Serial};
        let svid = NodeSvid {
            key: key(1),
            serial: Serial::from_parts([0; 4], [0; 11]),
            expires_at: NOW,
        };
        let record = NodeRecord::new(node(), SelectorSet::default(), NOW, svid).unwrap();
        let presence = Presence::default();
        let missing = |counter| presence.missing(std::iter::once(&record), counter).count();
        let later = NOW + RECONNECTING;
        let connected_at = |now, counter| presence.missing_connected(std::iter::once(&record), counter, now).count();
        let connected = |counter| connected_at(later, counter);
        assert_eq!(connected_at(NOW, 4), 1, "the server just started, and it may be on its way");
        assert_eq!((missing(4), connected(4)), (1, 0), "it never connected");
        let stream = OpenStream::new(key(1), 4);
        presence.open(&node(), Arc::clone(&stream), None);
        presence.acknowledge(&node(), 4);
        presence.mark_all(7);
        assert_eq!((missing(4), missing(7)), (0, 1));
        assert_eq!((connected(4), connected(7)), (0, 1));
        assert_eq!(presence.standing(&node(), 7), Standing::Behind);
        presence.acknowledge(&node(), 9);
        presence.close(&node(), &stream, true, NOW);
        assert_eq!(missing(7), 0, "it acknowledged a later one, and is away");
        presence.open(&node(), OpenStream::new(key(1), 9), None);
        assert_eq!(missing(7), 1, "it starts from nothing");
        assert_eq!((missing(99), connected(99)), (1, 1));
        let open: Vec<_> = presence.nodes().values().flat_map(|node| node.streams.clone()).collect();
        open.iter().for_each(|stream| presence.close(&node(), stream, true, NOW));
        assert_eq!(connected_at(NOW, 99), 1, "it may only be connecting anew");
        assert_eq!((missing(99), connected(99)), (1, 0), "it went away");
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten() {
        let presence = Presence::default();
        let stream = OpenStream::new(key(1), 0);
        presence.open(&node(), Arc::clone(&stream), None);
        presence.forget(&node());
        assert!(presence.is_connected(&node()), "its stream is still ending");
        presence.close(&node(), &stream, false, NOW);
        assert_eq!(presence.standing(&node(), 1), Standing::Away { since: None });
    }

    #[test]
    fn the_oldest_stream_over_the_limit_ends() {
        let presence = Presence::default();
        let streams: Vec<_> = (0..=STREAMS_PER_NODE).map(|_| OpenStream::new(key(1), 0)).collect();
        for stream in &streams {
            presence.open(&node(), Arc::clone(stream), None);
        }
        assert!(streams[0].ended.is_cancelled());
        assert_eq!(streams[0].cause().code(), Code::TooManyRequests);
        assert!(streams[1..].iter().all(|stream| !stream.ended.is_cancelled()));
        assert_eq!(presence.open_streams(), STREAMS_PER_NODE);
    }

    #[test]
    fn streams_of_a_replaced_key_end_and_others_stay() {
        let presence = Presence::default();
        let (old, new) = (OpenStream::new(key(1), 0), OpenStream::new(key(2), 0));
        presence.open(&node(), Arc::clone(&old), None);
        presence.open(&node(), Arc::clone(&new), None);
        presence.judge(&node(), |presented| {
            if *presented == key(2) {
                Ok(())
            } else {
                Err(NodeRefused::KeyReplaced { node: node() })
            }
        });
        assert!(old.ended.is_cancelled() && !new.ended.is_cancelled());
        assert_eq!(old.cause().code(), Code::ConnectionIdentityExpired);
    }
}
