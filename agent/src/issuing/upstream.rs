//! The server as those see it who ask it for credentials.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trust_domains::TrustBundle;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::RotationPolicy;
use trust_domains::plan::tainted::Tainted;

use crate::node::{CurrentIdentity, ServerClient, Standing};
use crate::svids::SvidCache;
use crate::sync::Link;

/// How long everything else waits for the node's own SVID: a renewal takes milliseconds.
const RENEWED_FIRST: Duration = Duration::from_secs(5);

/// The way to the server, as it changes. A clone is the same way.
#[derive(Clone)]
pub(crate) struct Upstream {
    /// The present client, of the identity that the node has now.
    client: watch::Receiver<Option<ServerClient>>,
    /// Who the node is, which the server asks first.
    identity: watch::Receiver<Option<CurrentIdentity>>,
    tainted: watch::Receiver<Tainted>,
    pub(super) link: watch::Receiver<Link>,
    /// The bundle by which answers are checked.
    bundle: watch::Receiver<Option<Arc<TrustBundle>>>,
    pub(super) clock: SharedClock,
}

/// A server that can be asked now, and what its answers are checked with.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: ServerClient,
    pub(crate) bundle: Arc<TrustBundle>,
    pub(crate) clock: SharedClock,
    pub(crate) policy: RotationPolicy,
}

impl Upstream {
    /// Returns the way to the server of a node: by its own standing there, and the bundle that its cache shows.
    pub(crate) fn new(standing: &Standing, cache: &SvidCache, clock: &SharedClock) -> Self {
        Self {
            client: standing.client.subscribe(),
            identity: standing.identity.subscribe(),
            tainted: cache.tainted(),
            link: standing.link.subscribe(),
            bundle: cache.bundle(),
            clock: clock.clone(),
        }
    }

    /// Returns the link to the server as it changes.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Waits while the first connection is under way: an attempt now would fail, and those who wait be told so.
    pub(super) async fn connected_or_away(&mut self) {
        // An error means that nobody reports the link any more, as at the end of the process.
        let _ = self.link.wait_for(|link| *link != Link::Connecting).await;
    }

    /// Waits while the node's own SVID is being renewed because a tainted authority signed it, or because it has ended, as it may have while the machine slept: with
    /// such a one the server answers nothing else. For a while only: what ends meanwhile is to be withdrawn.
    pub(super) async fn node_renewed_first(&mut self) {
        let waiting = async {
            while self.link.borrow().is_open() && self.is_node_renewed_first() {
                tokio::select! {
                    changed = self.identity.changed() => if changed.is_err() { return },
                    changed = self.tainted.changed() => if changed.is_err() { return },
                    changed = self.link.changed() => if changed.is_err() { return },
                }
            }
        };
        // An error means that it takes longer: then the server is asked, and says why it cannot answer.
        let _ = tokio::time::timeout(RENEWED_FIRST, waiting).await;
    }

    fn is_node_renewed_first(&self) -> bool {
        let identity = self.identity.borrow();
        let is_refused = |identity: &CurrentIdentity| identity.has_ended(self.clock.now()) || self.tainted.borrow().signed_certificate(identity.leaf());
        identity.as_ref().is_some_and(is_refused)
    }

    /// Returns the server, or why it cannot be asked now.
    pub(super) fn server(&self, policy: RotationPolicy) -> Result<Server, String> {
        let away = self.link.borrow().trouble();
        let client = self.client.borrow().clone();
        let bundle = self.bundle.borrow().clone();
        match (away, client, bundle) {
            (None, Some(client), Some(bundle)) => Ok(Server {
                client,
                bundle,
                clock: self.clock.clone(),
                policy,
            }),
            (away, _, _) => Err(away.unwrap_or_else(|| "the server cannot be reached".to_owned())),
        }
    }
}
