//! The server's own X509-SVID: `spiffe://TD/troth/server`, renewed by itself, never on disk.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::SharedClock;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, HeldCredential, Jitter, RenewReason, RotationAction, RotationPolicy, plan, retry_delay};
use trust_domains::plan::tainted::Tainted;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use trust_domains::{Serial, Timestamp};

use super::error::IssueError;
use super::service::Issuance;

/// How often the plan is asked: the wall clock may be set, and the machine may have slept, at any time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The server's X509-SVID with its key, ready for a TLS listener.
pub struct ServerCredential {
    certified: Arc<CertifiedKey>,
    serial: Serial,
    issued_at: Timestamp,
    expires_at: Timestamp,
    held: HeldCredential,
}

impl ServerCredential {
    /// Returns chain and key as rustls takes them: the leaf, the issuing CA and, for nodes that know only a root's hash, the root.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// Returns the serial number of the leaf.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Returns when the leaf was issued.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Returns when the leaf ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl std::fmt::Debug for ServerCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCredential")
            .field("serial", &self.serial)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The server has no identity to show.
#[derive(Debug, Error)]
pub enum ServerIdentityError {
    /// No key could be made.
    #[error("no key for the server's own SVID")]
    Key,
    /// No certificate was issued.
    #[error("the server's own SVID was not issued")]
    Issue(#[from] IssueError),
}

impl Coded for ServerIdentityError {
    fn code(&self) -> Code {
        match self {
            Self::Key => Code::Internal,
            Self::Issue(error) => error.code(),
        }
    }
}

/// Keeps the server's SVID fresh, and re-issues it at once when its issuer is tainted.
pub struct ServerIdentity {
    issuance: Arc<Issuance>,
    clock: SharedClock,
    current: watch::Sender<Arc<ServerCredential>>,
    tainted: watch::Receiver<Arc<[AuthorityId]>>,
    failures: u32,
    attempt: Attempt,
}

impl ServerIdentity {
    /// Issues the first SVID.
    ///
    /// # Errors
    /// When none can be issued: the server has nothing to show and must not start.
    pub async fn start(issuance: Arc<Issuance>, clock: SharedClock) -> Result<Self, ServerIdentityError> {
        let credential = issue(&issuance, &clock).await?;
        Ok(Self {
            tainted: issuance.authorities().tainted(),
            issuance,
            clock,
            current: watch::Sender::new(Arc::new(credential)),
            failures: 0,
            attempt: Attempt::Idle,
        })
    }

    /// Returns the current SVID, whole, and each later one.
    #[must_use]
    pub fn credential(&self) -> watch::Receiver<Arc<ServerCredential>> {
        self.current.subscribe()
    }

    /// Renews the SVID whenever the rotation plan says so, until shutdown. A failed renewal keeps the valid one and is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.look().await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                // A new list is a reason to look at once, and to try again what failed.
                Ok(()) = self.tainted.changed() => self.attempt = Attempt::Idle,
            }
        }
    }

    /// Asks the plan once, and does what it says.
    pub(crate) async fn look(&mut self) {
        let held = self.current.borrow().held;
        let state = CredentialState {
            id: (),
            demand: match self.is_tainted() {
                true => Demand::IssuerTainted,
                false => Demand::Current,
            },
            held: Some(held),
            attempt: self.attempt,
        };
        for action in plan(self.clock.now(), &[state], &RotationPolicy::default()) {
            // A server without a valid SVID keeps the one that ended: nodes refuse it, and say so, as they would an empty listener.
            if let RotationAction::Renew { reason, .. } = action {
                self.renew(reason).await;
            }
        }
    }

    async fn renew(&mut self, reason: RenewReason) {
        match issue(&self.issuance, &self.clock).await {
            Ok(credential) => {
                tracing::info!(serial = %credential.serial, until = %credential.expires_at, ?reason, "the server's SVID was renewed");
                self.current.send_replace(Arc::new(credential));
                (self.failures, self.attempt) = match self.is_tainted() {
                    // No successor signs yet: asking at once would bring the same.
                    true => (self.failures.saturating_add(1), self.later()),
                    false => (0, Attempt::Idle),
                };
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let (until, failures) = (self.current.borrow().expires_at, self.failures);
                tracing::warn!(%error, code = %error.code(), %until, failures, "the server's SVID was not renewed; the one in use stays");
                self.attempt = self.later();
            }
        }
    }

    fn later(&self) -> Attempt {
        let delay = retry_delay(self.failures, self.issuance.server_ttl(), Jitter::NONE);
        Attempt::RetryAt(self.clock.now().since_boot.saturating_add(delay))
    }

    /// Returns whether a tainted authority signed the SVID in use.
    fn is_tainted(&self) -> bool {
        let tainted: Tainted = self.tainted.borrow().iter().cloned().collect();
        self.current
            .borrow()
            .certified
            .cert
            .first()
            .is_some_and(|leaf| tainted.signed_certificate(leaf))
    }
}

async fn issue(issuance: &Issuance, clock: &SharedClock) -> Result<ServerCredential, ServerIdentityError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| ServerIdentityError::Key)?;
    let public_key = PublicKey::from_sec1(pair.public_key().as_ref()).map_err(|_| ServerIdentityError::Key)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| ServerIdentityError::Key)?;
    let private_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref()));
    let signing_key = any_ecdsa_type(&private_key).map_err(|_| ServerIdentityError::Key)?;
    let jitter = Jitter::new(platform::random::fraction().map_err(|_| ServerIdentityError::Key)?);

    let asked = clock.now();
    let svid = issuance.issue_prepared(issuance.prepare_server_svid(&public_key)?).await?;
    let root = issuance.authorities().root_above(&svid.issuer);
    let chain = svid
        .chain()
        .into_iter()
        .chain(root.map(|root| root.to_vec()))
        .map(CertificateDer::from)
        .collect();
    let life = svid.issued_at.duration_until(svid.expires_at);
    Ok(ServerCredential {
        certified: Arc::new(CertifiedKey::new(chain, signing_key)),
        serial: svid.serial,
        issued_at: svid.issued_at,
        expires_at: svid.expires_at,
        held: HeldCredential::issued(asked, life, svid.expires_at, jitter, &RotationPolicy::default()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use trust_domains::TrustBundle;
    use trust_domains::join_link::RootHash;
    use trust_domains::plan::authority::AuthorityKind;
    use trust_domains::wire::authorities::ReplaceRequest;
    use trust_domains::x509::{verify_server_by_root_hash, verify_svid};

    use super::*;
    use crate::decisions::Cause;
    use crate::issuance::tests::world::{World, trust_domain};

    async fn identity(world: &World) -> ServerIdentity {
        ServerIdentity::start(Arc::clone(&world.issuance), world.clock.shared()).await.unwrap()
    }

    #[tokio::test]
    async fn the_server_shows_leaf_issuing_ca_and_root() {
        let world = World::new().await;
        let credential = identity(&world).await.credential().borrow().clone();
        let chain = credential.certified_key().cert.clone();
        assert_eq!((chain.len(), &chain[2]), (3, &world.root()));
        let bundle = TrustBundle::new(trust_domain()).with_x509_authority(&chain[2]).unwrap();
        let peer = verify_svid(&chain[..2], &bundle, world.now()).unwrap();
        assert_eq!(peer.spiffe_id().as_str(), "spiffe://example.org/troth/server");
        credential.certified_key().keys_match().unwrap();
    }

    #[tokio::test]
    async fn it_is_renewed_by_half_of_its_life_and_not_before_a_third() {
        let world = World::new().await;
        let mut identity = identity(&world).await;
        let credential = identity.credential();
        let first = *credential.borrow().serial();
        let life = world.issuance.server_ttl();
        world.clock.advance(life / 3);
        identity.look().await;
        assert_eq!(credential.borrow().serial(), &first);
        world.clock.advance(life / 6);
        identity.look().await;
        assert_ne!(credential.borrow().serial(), &first);
    }

    #[tokio::test]
    async fn after_a_change_of_the_root_new_links_lead_to_the_svid_that_is_still_in_use() {
        let world = World::new().await;
        let mut identity = identity(&world).await;
        let request = ReplaceRequest {
            kind: AuthorityKind::X509Root,
            compromised: false,
            because: "a drill".to_owned(),
            dry_run: false,
        };
        let cause = Cause {
            actor: "local:uid:0".to_owned(),
            trace_id: String::new(),
        };
        world.authorities.replace(&request, &cause).await.unwrap();
        world.authorities.look().await.unwrap();
        identity.look().await;
        let roots: Vec<_> = world.authorities.join_roots().iter().map(|root| RootHash::of_der(root)).collect();
        let chain = identity.credential().borrow().certified_key().cert.clone();
        verify_server_by_root_hash(&chain, &roots, &trust_domain(), world.now()).unwrap();
    }

    #[tokio::test]
    async fn a_failed_renewal_keeps_the_valid_one_and_is_tried_again() {
        let world = World::new().await;
        let mut identity = identity(&world).await;
        let credential = identity.credential();
        let first = *credential.borrow().serial();
        world.clock.advance(world.issuance.server_ttl() / 2);
        world.tap.fails.store(true, Ordering::SeqCst);
        identity.look().await;
        assert_eq!((credential.borrow().serial(), identity.failures), (&first, 1));
        world.tap.fails.store(false, Ordering::SeqCst);
        identity.look().await;
        assert_eq!(credential.borrow().serial(), &first, "not at once");
        world.clock.advance(Duration::from_secs(60));
        identity.look().await;
        assert_ne!(credential.borrow().serial(), &first);
        assert_eq!(identity.failures, 0);
    }
}
