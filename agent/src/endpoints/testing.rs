//! What tests of both services share: the endpoints on real sockets, with a clock and a cache in the test's hand.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::wire::node::NodeEntry;

use super::{DEFAULT_STREAMS_PER_UID, Endpoints};
use crate::metrics::SdsCounts;
use crate::svids::SvidCache;
use crate::svids::testing::{delta, entry, issue_all, snapshot};
use crate::workload::Attestor;

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) cache: SvidCache,
    pub(super) endpoints: Endpoints,
    pub(super) socket: PathBuf,
    pub(super) sds_socket: PathBuf,
    pub(super) stopping: CancellationToken,
    pub(super) serving: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_streams_per_uid(DEFAULT_STREAMS_PER_UID)
    }

    pub(super) fn with_streams_per_uid(max: usize) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let cache = SvidCache::new(Arc::new(clock.clone()));
        let endpoints = Endpoints::new(cache.clone(), Arc::new(Attestor::new().unwrap()), max, SdsCounts::default());
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("workload.sock");
        let sds_socket = directory.path().join("workload.sds.sock");
        let stopping = CancellationToken::new();
        let listeners = (UnixListener::bind(&socket).unwrap(), UnixListener::bind(&sds_socket).unwrap());
        let serving = tokio::spawn({
            let (endpoints, stopping) = (endpoints.clone(), stopping.clone());
            async move {
                tokio::join!(
                    endpoints.serve_workload_api(listeners.0, stopping.clone()),
                    endpoints.serve_sds(listeners.1, stopping)
                );
            }
        });
        Self {
            clock,
            cache,
            endpoints,
            socket,
            sds_socket,
            stopping,
            serving,
            _directory: directory,
        }
    }

    /// Entries of this node, with their SVIDs.
    pub(super) fn entries(&self, counter: u64, entries: Vec<NodeEntry>) {
        self.cache.apply(snapshot(counter, entries));
        self.issue();
    }

    pub(super) fn change(&self, counter: u64, upserted: Vec<NodeEntry>, removed: &[&str]) {
        self.cache.apply(delta(counter, upserted, removed));
        self.issue();
    }

    pub(super) fn issue(&self) -> usize {
        issue_all(&self.cache, self.clock.now())
    }
}

/// An entry for this process's user.
pub(super) fn own(id: &str, at: u64) -> NodeEntry {
    with_selectors(id, at, &[&format!("unix:uid:{}", rustix::process::geteuid().as_raw())])
}

pub(super) fn with_selectors(id: &str, at: u64, selectors: &[&str]) -> NodeEntry {
    NodeEntry {
        selectors: selectors.iter().map(|selector| selector.parse().unwrap()).collect(),
        ..entry(id, at)
    }
}
