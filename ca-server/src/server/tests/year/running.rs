//! The rooms of a server as it runs, without its listeners: agents call what the routes call.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::plan::authority::{AuthorityId, AuthorityKind};
use trust_domains::wire::authorities::ReplaceRequest;
use trust_domains::{Reading, Timestamp, TrustBundle};

use super::plot::{Plot, PlottedStore};
use crate::config::ServerConfig;
use crate::decisions::Cause;
use crate::issuance::ServerIdentity;
use crate::server::ground::Ground;
use crate::server::{Rooms, RunError};
use crate::store::disk::Disk;

/// A server that runs.
pub(super) struct Running {
    pub(super) rooms: Rooms,
    pub(super) plot: Arc<Plot>,
    identity: ServerIdentity,
    clock: ManualClock,
    stop: CancellationToken,
}

/// A disk that keeps what it is given, as long as the machine runs: power losses are the store's own tests.
fn steady_disk() -> Disk {
    Disk::real().with_sync(|_| Ok(()))
}

pub(super) fn operator() -> Cause {
    Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: String::new(),
    }
}

async fn ended(stop: &CancellationToken, rooms: Rooms) {
    stop.cancel();
    rooms.tasks.close();
    rooms.tasks.wait().await;
}

impl Running {
    /// Starts a server as `troth server run` does.
    pub(super) async fn start(config: &ServerConfig, clock: &ManualClock) -> Result<Self, RunError> {
        let plot = Arc::new(Plot::default());
        let mut ground = Ground::open(config, steady_disk()).await?;
        ground.store = Arc::new(PlottedStore {
            store: ground.store,
            plot: Arc::clone(&plot),
        });
        let stop = CancellationToken::new();
        let rooms = Rooms::open(ground, config, &clock.shared(), &stop).await?;
        match ServerIdentity::start(Arc::clone(&rooms.issuance), clock.shared()).await {
            Ok(identity) => Ok(Self {
                rooms,
                plot,
                identity,
                clock: clock.clone(),
                stop,
            }),
            Err(error) => {
                ended(&stop, rooms).await;
                Err(error.into())
            }
        }
    }

    /// Ends it: nothing of it is left but what is stored.
    pub(super) async fn end(self) {
        ended(&self.stop, self.rooms).await;
    }

    pub(super) fn now(&self) -> Reading {
        self.clock.now()
    }

    pub(super) fn bundle(&self) -> Arc<TrustBundle> {
        self.rooms.authorities.bundle().borrow().clone()
    }

    /// Returns what it shows in a handshake: leaf, issuing CA and root.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.identity.credential().borrow().certified_key().cert.clone()
    }

    /// Renews its own SVID if that is due.
    pub(super) async fn keep_identity(&mut self) {
        self.identity.look().await;
    }

    /// Waits until the registry shows what is stored.
    pub(super) async fn settled(&self) {
        self.rooms.registry.settled(self.rooms.store.revision()).await;
    }

    /// Orders that everything of a kind be replaced, since its keys are in other hands; returns whether the order was taken before the server ended.
    pub(super) async fn replace_compromised(&self, kind: AuthorityKind) -> bool {
        let request = ReplaceRequest {
            kind,
            compromised: true,
            because: "a copy of the key was found".to_owned(),
            dry_run: false,
        };
        let ordered = self.rooms.authorities.replace(&request, &operator()).await;
        assert!(ordered.is_ok() || self.plot.is_dead(), "{ordered:?}");
        ordered.is_ok()
    }

    pub(super) fn is_replacing(&self) -> bool {
        self.rooms.authorities.replacements().iter().any(|order| order.finished_at.is_none())
    }

    /// Returns each authority with its end.
    pub(super) fn authorities(&self) -> Vec<(AuthorityId, Timestamp)> {
        let views = self.rooms.authorities.views(&[]);
        views.into_iter().map(|view| (view.id, view.not_after)).collect()
    }
}
