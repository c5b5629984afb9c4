//! The life of this node in its trust domain: it joins, is served, is refused, and perhaps joins again.
//!
//! - A sealed identity wins over a join link. The link is used when there is no identity, once the server has refused the identity for good, or when the
//!   server has roots that the node does not know and the link does ([`unknown_roots`](super::unknown_roots)).
//! - A ban is never overridden by a link.
//! - A node that was banned, or evicted or revoked and given no link that works, ends: everything that it delivered is withdrawn, what it keeps on disk is deleted.
//! - A node whose identity merely ended goes on asking, slowly. What it holds is served until it ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::telemetry::HealthHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::{Coded, with_causes};

use super::admission::Admission;
use super::bootstrap::{JoinError, join};
use super::client::ServerClient;
use super::ended::MembershipEnded;
use super::identity::{CurrentIdentity, NodeIdentity};
use super::keeper::IdentityKeeper;
use super::refusal::{Refusal, Verdict};
use super::renewal::Renewal;
use super::sealed::{Record, SealedRecords};
use crate::svids::SvidCache;
use crate::sync::{Backoff, Link, Sync, jitter};

/// The first wait after a join that failed: server and agent may just be starting together.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait between attempts to join.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a refused node waits before it asks again, at most: it takes a person to change the answer. No longer, as timers stand still while the
/// machine sleeps.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// The part of health that speaks of the node's identity.
pub(crate) const HEALTH_KEY: &str = "identity";

/// What everybody else here follows.
#[derive(Clone)]
pub(crate) struct Standing {
    /// Who this node is; `None` before it joined.
    pub(crate) identity: watch::Sender<Option<CurrentIdentity>>,
    /// The way to the server with that identity.
    pub(crate) client: watch::Sender<Option<ServerClient>>,
    /// Whether the server is there.
    pub(crate) link: watch::Sender<Link>,
    /// The node is leaving: a refusal is what was asked for.
    pub(crate) leaving: Arc<AtomicBool>,
    /// Changes when this process runs again after it did not for a while.
    pub(crate) woken: watch::Sender<()>,
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self {
            identity: watch::Sender::new(None),
            client: watch::Sender::new(None),
            link: watch::Sender::new(Link::Connecting),
            leaving: Arc::default(),
            woken: watch::Sender::new(()),
        }
    }
}

/// Lives the life of this node.
pub(crate) struct Membership {
    pub(crate) records: Arc<SealedRecords>,
    pub(crate) clock: SharedClock,
    pub(crate) cache: SvidCache,
    pub(crate) standing: Standing,
    pub(crate) health: HealthHandle,
    /// The link that is still to be used, or the certificate.
    pub(crate) link: Option<Admission>,
    /// What went wrong with the last renewal of the node's SVID.
    pub(crate) trouble: watch::Sender<Option<String>>,
}

/// How serving ended.
enum Over {
    /// The refusal, and the identity and bundle as they are sealed.
    Refused(Box<(Refusal, CurrentIdentity, TrustBundle)>),
    Stopped,
    /// The server has roots that only the link knows. The identity and bundle as they are sealed.
    UnknownRoots(Box<(CurrentIdentity, TrustBundle)>),
}

impl Membership {
    /// Lives until `stop`. `identity` is the one that an earlier run sealed.
    ///
    /// # Errors
    /// [`MembershipEnded`] when there is no identity and the link does not give one, for good; or when the server took it, for good.
    pub(crate) async fn run(mut self, sealed: Option<(NodeIdentity, TrustBundle)>, stop: CancellationToken) -> Result<(), MembershipEnded> {
        let known = sealed.is_some();
        let first = match (sealed, self.link.clone()) {
            (Some(sealed), link) => {
                if link.is_some() {
                    tracing::info!(spiffe_id = %sealed.0.spiffe_id, "this node has an identity already; what it joins by is not used unless the server refuses the identity for good, or has roots that this node does not know");
                }
                Some(sealed)
            }
            (None, Some(link)) => self.join_patiently(&link, &stop).await?,
            (None, None) => None,
        };
        let Some((identity, bundle)) = first else { return Ok(()) };
        if !known {
            self.use_up();
        }
        let (mut identity, mut bundle) = (Arc::new(identity), bundle);
        loop {
            match self.serve(identity, bundle, &stop).await {
                Over::Stopped => return Ok(()),
                Over::Refused(refused) => match self.refused(*refused, &stop).await? {
                    Some(next) => (identity, bundle) = next,
                    None => return Ok(()),
                },
                Over::UnknownRoots(before) => match self.join_under_new_roots(*before, &stop).await {
                    Some(next) => (identity, bundle) = next,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Joins, however long the server takes to be there. `None` when stopped meanwhile.
    async fn join_patiently(&self, link: &Admission, stop: &CancellationToken) -> Result<Option<(NodeIdentity, TrustBundle)>, MembershipEnded> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let joined = tokio::select! {
                joined = self.join(link) => joined,
                () = stop.cancelled() => return Ok(None),
            };
            let error = match joined {
                Ok(joined) => return Ok(Some(joined)),
                Err(error) if !error.is_passing() => return Err(error.into()),
                Err(error) => with_causes(&error),
            };
            if self
                .health
                .set_problem(HEALTH_KEY, format!("this node has not joined yet: {error}; it tries again"))
            {
                tracing::warn!(error, "the node could not join; it tries again");
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next(jitter())) => {}
                () = stop.cancelled() => return Ok(None),
            }
        }
    }

    async fn join(&self, link: &Admission) -> Result<(NodeIdentity, TrustBundle), JoinError> {
        let joined = join(link, &self.records, &self.clock, Jitter::new(jitter())).await?;
        self.health.clear(HEALTH_KEY);
        tracing::info!(spiffe_id = %joined.0.spiffe_id, server = %joined.0.server, until = %joined.0.expires_at, "the node joined");
        Ok(joined)
    }

    /// Is a member until the server refuses the identity, or `stop`.
    async fn serve(&self, identity: CurrentIdentity, bundle: TrustBundle, stop: &CancellationToken) -> Over {
        let keeper = Arc::new(IdentityKeeper::new(self.records.clone(), identity.clone(), bundle));
        let client = ServerClient::new(keeper.identity(), keeper.bundle(), self.cache.lists(), self.clock.clone());
        let (mut refusals, connections) = (client.refusals(), client.clone());
        self.standing.identity.send_replace(Some(identity));
        self.standing.client.send_replace(Some(client.clone()));
        let sync = Sync {
            client: client.clone(),
            keeper: keeper.clone(),
            cache: self.cache.clone(),
            clock: self.clock.clone(),
            link: self.standing.link.clone(),
            woken: self.standing.woken.subscribe(),
        };
        let renewal = Renewal {
            client,
            keeper: keeper.clone(),
            clock: self.clock.clone(),
            tainted: self.cache.register_replacer(),
            trouble: self.trouble.clone(),
            woken: self.standing.woken.subscribe(),
        };
        let work = async { tokio::join!(sync.run(stop.child_token()), renewal.run(stop.child_token()), self.tell_identity(&keeper)) };
        let refusal = async {
            loop {
                if refusals.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if let Some(refusal) = refusals.borrow_and_update().clone()
                    && !self.standing.leaving.load(Ordering::SeqCst)
                {
                    return refusal;
                }
            }
        };
        let refusal = tokio::select! {
            _ = work => return Over::Stopped,
            () = stop.cancelled() => return Over::Stopped,
            refusal = refusal => Some(refusal),
            () = self.vouched_for(&connections) => None,
        };
        // A renewal may be writing to the disk.
        let closing = tokio::task::spawn_blocking(move || keeper.close());
        match (closing.await, refusal) {
            (Ok((identity, bundle)), Some(refusal)) => Over::Refused(Box::new((refusal, identity, bundle))),
            (Ok(before), None) => Over::UnknownRoots(Box::new(before)),
            (Err(_), _) => Over::Stopped,
        }
    }

    /// Passes each renewed identity on, for as long as this one is served.
    async fn tell_identity(&self, keeper: &IdentityKeeper) {
        let mut identity = keeper.identity();
        while identity.changed().await.is_ok() {
            let renewed = identity.borrow_and_update().clone();
            self.standing.identity.send_replace(Some(renewed));
        }
    }

    /// Says what happened, and returns what to go on with: a new identity by the link, or after a while the same. `None` when stopped meanwhile.
    ///
    /// # Errors
    /// [`MembershipEnded`]: there is nothing to go on with.
    async fn refused(
        &mut self,
        (refusal, identity, bundle): (Refusal, CurrentIdentity, TrustBundle),
        stop: &CancellationToken,
    ) -> Result<Option<(CurrentIdentity, TrustBundle)>, MembershipEnded> {
        let Refusal { verdict, problem } = refusal;
        self.standing.client.send_replace(None);
        let since = self.clock.now().wall;
        self.standing.link.send_replace(Link::Away {
            since,
            error: problem.to_string(),
        });
        let text = format!(
            "the server refuses this node's identity {}: {} ({}); {}",
            identity.spiffe_id, problem.detail, problem.code, problem.hint
        );
        if self.health.set_problem(HEALTH_KEY, text) {
            tracing::error!(spiffe_id = %identity.spiffe_id, code = %problem.code, detail = %problem.detail, hint = %problem.hint, "the server refuses this node's identity");
        }
        let spiffe_id = identity.spiffe_id.clone();
        let taken = match verdict {
            Verdict::Banned => return Err(self.end(MembershipEnded::Banned { spiffe_id })),
            Verdict::Gone => Some(MembershipEnded::Evicted { spiffe_id }),
            Verdict::Revoked => Some(MembershipEnded::Revoked { spiffe_id }),
            Verdict::Expired | Verdict::Passing | Verdict::Renew => None,
        };
        if let Some(next) = self.join_again(&identity).await {
            return Ok(Some(next));
        }
        if let Some(taken) = taken {
            if self.link.is_none() {
                return Err(self.end(taken));
            }
            // The link may work later. What the node delivered counts for nothing already.
            self.cache.withdraw(&taken.to_string());
        }
        Ok(after_a_while((identity, bundle), stop).await)
    }

    /// Withdraws everything that was delivered and deletes what is kept for it: the identity is of no use any more, to this agent or to a thief.
    fn end(&self, why: MembershipEnded) -> MembershipEnded {
        self.cache.withdraw(&why.to_string());
        for record in [Record::Cache, Record::Identity, Record::Joining] {
            if let Err(error) = self.records.remove(record) {
                tracing::error!(error = %with_causes(&error), "what this node kept could not be deleted; delete its data directory");
            }
        }
        why
    }

    /// A link is good once. A certificate is good for as long as the server accepts it.
    fn use_up(&mut self) {
        self.link = self.link.take().filter(Admission::is_repeatable);
    }

    /// Uses the link, if there is one that may still work.
    pub(super) async fn join_again(&mut self, before: &NodeIdentity) -> Option<(CurrentIdentity, TrustBundle)> {
        let link = self.link.clone()?;
        match self.join(&link).await {
            Ok((identity, bundle)) => {
                self.use_up();
                if identity.spiffe_id != before.spiffe_id {
                    self.cache.start_anew();
                }
                self.standing.link.send_replace(Link::Connecting);
                Some((Arc::new(identity), bundle))
            }
            Err(error) => {
                if !error.is_passing() {
                    self.use_up();
                }
                tracing::error!(error = %with_causes(&error), code = %error.code(), hint = %error.hint(), "what this node joins by was not accepted either");
                None
            }
        }
    }
}

/// Goes on with the same after a wait; `None` when stopped meanwhile.
pub(super) async fn after_a_while(same: (CurrentIdentity, TrustBundle), stop: &CancellationToken) -> Option<(CurrentIdentity, TrustBundle)> {
    tokio::select! {
        () = tokio::time::sleep(REFUSED_WAIT / 2 + REFUSED_WAIT.mul_f64(jitter() / 2.0)) => Some(same),
        () = stop.cancelled() => None,
    }
}
