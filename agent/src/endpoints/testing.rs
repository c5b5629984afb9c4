//! What tests of both services share: the endpoints on real sockets, with a clock and a cache in the test's hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::wire::node::NodeEntry;

use super::{DEFAULT_STREAMS_PER_UID, Endpoints, Served};
use crate::jwt_svids::JwtCache;
use crate::metrics::SdsCounts;
use crate::svids::SvidCache;
use crate::svids::testing::{delta, entry, issue_all, snapshot};
use crate::sync::Link;
use crate::wit_svids::WitCache;
use crate::workload::Attestor;

/// How far clocks may differ.
pub(super) const LEEWAY: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) cache: SvidCache,
    pub(super) tokens: JwtCache,
    pub(super) wits: Option<WitCache>,
    pub(super) link: watch::Sender<Link>,
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
        Self::start(max, false)
    }

    /// With the WIT profile switched on.
    pub(super) fn with_wit() -> Self {
        Self::start(DEFAULT_STREAMS_PER_UID, true)
    }

    pub(super) fn start(max: usize, wit: bool) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let cache = SvidCache::new(Arc::new(clock.clone()));
        let link = watch::Sender::new(Link::Open {
            since: Timestamp::from_unix(0),
        });
        let tokens = JwtCache::new(clock.shared(), link.subscribe());
        let wits = wit.then(|| WitCache::new(clock.shared()));
        let served = Served {
            cache: cache.clone(),
            tokens: tokens.clone(),
            attestor: Arc::new(Attestor::new().unwrap()),
            clock: clock.shared(),
            jwt_leeway: LEEWAY,
            wits: wits.clone(),
        };
        let endpoints = Endpoints::new(served, max, SdsCounts::default());
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
            tokens,
            wits,
            link,
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
