//! The node's own SVID, renewed before it ends and when its issuer is tainted, by the same plan as every other.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::sleep_until_boot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, Jitter, RotationAction, RotationPolicy, plan, retry_delay};
use trust_domains::problem::{Code, Coded, with_causes};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{NodeCredential, RenewExpiredRequest, RenewRequest, possession_message};

use super::call::{CALL_DEADLINE, CallError};
use super::client::ServerClient;
use super::identity::{CurrentIdentity, IdentityRefused, NodeIdentity};
use super::keeper::IdentityKeeper;
use super::key::{KeyError, KeyPair};
use super::sealed::SealedError;
use crate::svids::Replacer;

/// How often the plan is asked when nothing is due: a step of the wall clock is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A node SVID was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The call failed, or the server refused.
    #[error("the node's SVID could not be renewed")]
    Call(#[from] CallError),
    /// The server's answer cannot be used.
    #[error("the server's answer is not a usable identity")]
    Identity(#[from] IdentityRefused),
    /// The key.
    #[error("the node's next key could not be made or used")]
    Key(#[from] KeyError),
    /// The server renewed it by an authority that it calls tainted itself.
    #[error("the server signs with an authority that it calls tainted")]
    StillTainted,
    /// The disk: the new identity is not used, because a restart would not find it.
    #[error("the renewed identity could not be sealed on disk")]
    Sealed(#[from] SealedError),
}

impl Coded for RenewError {
    fn code(&self) -> Code {
        match self {
            Self::Call(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::StillTainted => Code::IssuerUnavailable,
        }
    }
}

/// Keeps the node's identity fresh.
pub(crate) struct Renewal {
    pub(crate) client: ServerClient,
    pub(crate) keeper: Arc<IdentityKeeper>,
    pub(crate) clock: SharedClock,
    /// The list of tainted authorities, and who waits until the identity is no longer by one of them.
    pub(crate) tainted: Replacer,
    /// What went wrong last, for health.
    pub(crate) trouble: watch::Sender<Option<String>>,
    /// Changes when this process runs again after it did not for a while.
    pub(crate) woken: watch::Receiver<()>,
}

impl Renewal {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        let mut attempt = Attempt::Idle;
        let (mut tainted, mut to_renew) = (self.tainted.changes(), self.client.to_renew());
        while !stop.is_cancelled() {
            let identity = self.keeper.current();
            let list = tainted.borrow_and_update().clone();
            let told = to_renew.borrow_and_update().as_ref().is_some_and(|told| Arc::ptr_eq(told, &identity));
            let demand = match told || list.signed_certificate(identity.leaf()) {
                true => Demand::IssuerTainted,
                false => Demand::Current,
            };
            if demand == Demand::Current {
                self.tainted.replaced(&list);
            }
            if self.is_due(&identity, demand, attempt) {
                match self.renew(&identity).await {
                    Ok(()) if !list.signed_certificate(self.keeper.current().leaf()) => {
                        (failures, attempt) = (0, Attempt::Idle);
                        self.trouble.send_replace(None);
                        continue;
                    }
                    Ok(()) => {
                        failures += 1;
                        attempt = self.retry(&self.keeper.current(), failures, &RenewError::StillTainted);
                    }
                    Err(error) => {
                        failures += 1;
                        attempt = self.retry(&identity, failures, &error);
                    }
                }
            }
            let wake = self.clock.now().since_boot + LOOK_AGAIN;
            let wake = match attempt {
                Attempt::RetryAt(at) => wake.min(at),
                Attempt::Idle | Attempt::InFlight => wake.min(identity.times.renew_at()),
            };
            tokio::select! {
                () = sleep_until_boot(&self.clock, wake) => {}
                // A new list is a reason to try again at once.
                Ok(()) = tainted.changed() => attempt = Attempt::Idle,
                Ok(()) = to_renew.changed() => {}
                Ok(()) = self.woken.changed() => attempt = Attempt::Idle,
                () = stop.cancelled() => {}
            }
        }
    }

    fn is_due(&self, identity: &NodeIdentity, demand: Demand, attempt: Attempt) -> bool {
        let state = CredentialState {
            id: (),
            demand,
            held: Some(identity.times),
            attempt,
        };
        plan(self.clock.now(), &[state], &RotationPolicy::default())
            .iter()
            .any(|action| matches!(action, RotationAction::Renew { .. }))
    }

    fn retry(&self, identity: &NodeIdentity, failures: u32, error: &RenewError) -> Attempt {
        let life = identity.issued_at.duration_until(identity.expires_at);
        let wait = retry_delay(failures, life, Jitter::new(crate::sync::jitter()));
        let until = identity.expires_at;
        let reason = with_causes(error);
        if failures <= 3 {
            tracing::warn!(error = %reason, %until, "the node's SVID was not renewed; it stays in use and the renewal is tried again");
        } else {
            tracing::debug!(error = %reason, %until, "the node's SVID was not renewed again");
        }
        self.trouble
            .send_replace(Some(format!("the node's SVID, valid until {until}, was not renewed: {reason}")));
        Attempt::RetryAt(self.clock.now().since_boot + wait)
    }

    /// Renews with a new key. The new identity is sealed on disk before anybody uses it.
    async fn renew(&self, identity: &CurrentIdentity) -> Result<(), RenewError> {
        let key = KeyPair::generate()?;
        let asked = self.clock.now();
        let credential = self.ask_in_time(identity, &key, identity.has_ended(asked)).await?;
        let jitter = Jitter::new(crate::sync::jitter());
        let (renewed, bundle) = NodeIdentity::accept(credential, key, identity.server.clone(), &identity.trust_domain(), asked, jitter)?;
        let (spiffe_id, until) = (renewed.spiffe_id.clone(), renewed.expires_at);
        let keeper = self.keeper.clone();
        let replaced = tokio::task::spawn_blocking(move || keeper.replace(renewed, bundle)).await;
        if !replaced.map_err(|_| KeyError::Failed)?? {
            // Never used, it is as if the answer had been lost.
            return Ok(());
        }
        tracing::info!(%spiffe_id, %until, "renewed the node's SVID");
        Ok(())
    }

    /// Asks as the SVID's end demands. The server's clock decides what has ended: where it says not yet, the certificate still opens a connection.
    async fn ask_in_time(&self, identity: &CurrentIdentity, key: &KeyPair, ended: bool) -> Result<NodeCredential, RenewError> {
        if !ended {
            return self.ask(identity, key).await;
        }
        match self.ask_late(identity, key).await {
            Err(error) if error.code() == Code::InvalidRequest => self.ask(identity, key).await,
            asked => asked,
        }
    }

    /// Asks on the connection that the current SVID opened.
    async fn ask(&self, identity: &CurrentIdentity, key: &KeyPair) -> Result<NodeCredential, RenewError> {
        let (_, connection) = self.client.connection().await?;
        let message = possession_message(connection.exporter(), key.public().spki(), identity.leaf());
        let request = RenewRequest {
            public_key: Base64(key.public().spki().to_vec()),
            proof: Base64(key.sign(&message)?),
        };
        Ok(connection
            .post("/v1/node/renew", &request, CALL_DEADLINE)
            .await
            .map_err(|error| self.client.refused(identity, error.into()))?)
    }

    /// Asks after the SVID has ended, without a client certificate: its key and the new one sign instead.
    async fn ask_late(&self, identity: &CurrentIdentity, key: &KeyPair) -> Result<NodeCredential, RenewError> {
        let connection = self.client.connect_without_certificate(identity).await?;
        let message = possession_message(connection.exporter(), key.public().spki(), identity.leaf());
        let chain = identity.chain.iter().map(|certificate| Base64(certificate.clone())).collect();
        let request = RenewExpiredRequest {
            chain,
            current_proof: Base64(identity.key.sign(&message)?),
            public_key: Base64(key.public().spki().to_vec()),
            proof: Base64(key.sign(&message)?),
        };
        Ok(connection
            .post("/v1/node/renew-expired", &request, CALL_DEADLINE)
            .await
            .map_err(|error| self.client.refused_late(identity, error.into()))?)
    }
}
