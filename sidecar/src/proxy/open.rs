//! The open connections of a listener, and the task that ends those that are believed no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use trust_domains::clock::SharedClock;
use trust_domains::peering::{AllowList, EndReason, OpenPeer, PeerTrust, endings};

use super::identity::Presence;

/// How many connections are judged before others get their turn: about 10 ms when each chain is verified anew.
const AT_ONCE: usize = 64;

/// Why a connection is ended from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// What opened it is believed no more.
    Judged(EndReason),
    /// The proxy's own identity was withdrawn.
    Withdrawn,
}

/// Those that are open. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenConnections(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, (Arc<OpenPeer>, oneshot::Sender<Ended>)>,
}

/// An open connection's place in the list; it leaves it when dropped.
#[derive(Debug)]
pub(super) struct Listed {
    id: u64,
    list: OpenConnections,
    /// Told when the connection has to end.
    pub(super) ended: oneshot::Receiver<Ended>,
}

impl OpenConnections {
    /// Adds a connection. Whoever adds one asks afterwards whether what it was opened under is still believed: what changes from here on is judged by [`follow`].
    pub(super) fn add(&self, peer: Arc<OpenPeer>) -> Listed {
        let (end, ended) = oneshot::channel();
        let mut connections = self.lock();
        let id = connections.next;
        connections.next += 1;
        connections.open.insert(id, (peer, end));
        drop(connections);
        Listed { id, list: self.clone(), ended }
    }

    fn peers(&self) -> Vec<(u64, Arc<OpenPeer>)> {
        self.lock().open.iter().map(|(id, (peer, _))| (*id, Arc::clone(peer))).collect()
    }

    fn end(&self, id: u64, why: Ended) {
        let listed = self.lock().open.remove(&id);
        if let Some((_, end)) = listed {
            // One that ended by itself meanwhile does not listen.
            let _ = end.send(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.lock().open.remove(&self.id);
    }
}

/// Ends what is believed no more, at each change, until nobody sends changes.
pub(super) async fn follow(open: OpenConnections, allowed: Arc<AllowList>, mut presence: watch::Receiver<Presence>, clock: SharedClock) {
    // With its number: after a gap each connection is judged, since one may have been opened under what was not seen here.
    let mut believed: Option<(u64, PeerTrust)> = None;
    loop {
        let now = presence.borrow_and_update().clone();
        match now {
            Presence::Awaited => {}
            Presence::Withdrawn => {
                for (id, _) in open.peers() {
                    open.end(id, Ended::Withdrawn);
                }
                believed = None;
            }
            Presence::Held(standing) => {
                let before = believed.as_ref().filter(|(number, _)| number + 1 == standing.number).map(|(_, trust)| trust);
                judge(&open, before, &standing.trust, &allowed, &clock).await;
                believed = Some((standing.number, standing.trust.clone()));
            }
        }
        if presence.changed().await.is_err() {
            return;
        }
    }
}

async fn judge(open: &OpenConnections, believed: Option<&PeerTrust>, trust: &PeerTrust, allowed: &AllowList, clock: &SharedClock) {
    for some in open.peers().chunks(AT_ONCE) {
        let peers = some.iter().map(|(id, peer)| (*id, peer.as_ref()));
        for (id, reason) in endings(peers, believed, trust, allowed, clock.now().wall) {
            open.end(id, Ended::Judged(reason));
        }
        tokio::task::yield_now().await;
    }
}
