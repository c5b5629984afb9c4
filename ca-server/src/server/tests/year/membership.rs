//! A node's own SVID and its connection: joining, renewing, connecting.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use platform::tls::ConnectionInfo;
use rustls::pki_types::CertificateDer;
use trust_domains::join_link::RootHash;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, HeldCredential, Jitter, RotationAction, RotationPolicy, plan, retry_delay};
use trust_domains::wire::admin::TokenRequest;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{AttestRequest, Evidence, NodeCredential, RenewExpiredRequest, RenewRequest, possession_message};
use trust_domains::x509::{Certificate, VerifiedPeer, verify_server_by_root_hash, verify_svid};
use trust_domains::{Reading, SpiffeId, TrustBundle};

use super::agent::Agent;
use super::chance::Chance;
use super::running::Running;
use crate::attestation::AuthenticatedNode;
use crate::registry::OpenStream;
use crate::server::tests::world::Key;

/// What both ends of a connection would have exported: one value does, since no connection here carries what another one signed.
const EXPORTER: [u8; 32] = [7; 32];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The node's own SVID.
pub(super) struct Membership {
    key: Key,
    chain: Vec<CertificateDer<'static>>,
    issuer: AuthorityId,
    pub(super) held: HeldCredential,
    attempt: Attempt,
    failures: u32,
}

/// A connection with its stream.
pub(super) struct Line {
    pub(super) node: AuthenticatedNode,
    pub(super) stream: Arc<OpenStream>,
    info: ConnectionInfo,
}

impl Membership {
    fn new(key: Key, credential: &NodeCredential, asked: Reading, chance: &mut Chance) -> Self {
        let chain: Vec<_> = credential.chain.iter().map(|der| CertificateDer::from(der.0.clone())).collect();
        let expires_in = std::time::Duration::from_secs(credential.expires_in_s);
        let jitter = Jitter::new(chance.part());
        Self {
            issuer: signer_of(&chain[0]),
            held: HeldCredential::issued(asked, expires_in, credential.expires_at, jitter, &RotationPolicy::default()),
            key,
            chain,
            attempt: Attempt::Idle,
            failures: 0,
        }
    }

    pub(super) fn issuer(&self) -> &AuthorityId {
        &self.issuer
    }

    pub(super) fn try_again_now(&mut self) {
        self.attempt = Attempt::Idle;
    }

    pub(super) fn state(&self, is_tainted: bool) -> CredentialState<()> {
        CredentialState {
            id: (),
            demand: if is_tainted { Demand::IssuerTainted } else { Demand::Current },
            held: Some(self.held),
            attempt: self.attempt,
        }
    }

    fn note_failure(&mut self, now: Reading, chance: &mut Chance) {
        self.failures += 1;
        let life = std::time::Duration::from_secs(86_400);
        self.attempt = Attempt::RetryAt(now.since_boot + retry_delay(self.failures, life, Jitter::new(chance.part())));
    }
}

/// Returns who signed a certificate, by the key identifier that it names.
pub(super) fn signer_of(der: &[u8]) -> AuthorityId {
    AuthorityId::from_key_id(Certificate::parse(der).unwrap().authority_key_id().unwrap()).unwrap()
}

fn info(server: &Running, peer: Option<VerifiedPeer>, leaf_der: Option<Vec<u8>>) -> ConnectionInfo {
    ConnectionInfo {
        id: 0,
        peer_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        accepted_at: server.now().since_boot,
        exporter: EXPORTER,
        peer,
        leaf_der,
        close: tokio_util::sync::CancellationToken::new(),
    }
}

fn believes(bundle: &TrustBundle, server: &Running, now: Reading) -> Result<(), String> {
    let peer = verify_svid(&server.chain()[..2], bundle, now.wall).map_err(|error| format!("the server's SVID: {error}"))?;
    assert_eq!(*peer.spiffe_id(), SpiffeId::server(bundle.trust_domain()));
    Ok(())
}

impl Agent {
    /// Sees to it that the node has an SVID that has not ended, renewed when that is due, and a connection that it opened.
    pub(super) async fn keep_membership(&mut self, server: &Running, chance: &mut Chance) {
        let now = self.now();
        let Some(own) = &self.membership else {
            return self.rejoin(server, chance).await;
        };
        let state = own.state(self.trust.tainted.holds(own.issuer()));
        let is_due = plan(now, &[state], &RotationPolicy::default())
            .iter()
            .any(|action| matches!(action, RotationAction::Renew { .. }));
        if own.held.has_ended(now) {
            self.hang_up(Some(server));
            self.renew_expired(server, chance).await;
        }
        self.connect(server, chance).await;
        if is_due && self.line.is_some() && !self.is_just_renewed(now) {
            self.renew(server, chance).await;
        }
    }

    fn is_just_renewed(&self, now: Reading) -> bool {
        let own = self.membership.as_ref().map(|own| own.state(self.trust.tainted.holds(own.issuer())));
        own.is_some_and(|own| plan(now, &[own], &RotationPolicy::default()).is_empty())
    }

    /// Opens a connection with its stream, if there is none that may be used.
    async fn connect(&mut self, server: &Running, chance: &mut Chance) {
        if let Some(line) = &self.line {
            let is_served = line.node.check_again(&server.rooms.registry, server.now().wall).is_ok();
            if is_served && !line.stream.ended.is_cancelled() {
                return;
            }
            self.hang_up(Some(server));
        }
        if let Err(trouble) = self.try_connect(server).await {
            self.trouble = trouble;
            if self.is_lost(server) {
                self.rejoin(server, chance).await;
            }
        }
    }

    /// Both ends verify each other, as in a handshake; then the first call opens the stream.
    async fn try_connect(&mut self, server: &Running) -> Result<(), String> {
        let own = self.membership.as_ref().ok_or("no SVID")?;
        believes(&self.trust.bundle, server, self.now())?;
        let peer = verify_svid(&own.chain, &server.bundle(), server.now().wall).map_err(|error| format!("the node's SVID: {error}"))?;
        let info = info(server, Some(peer), Some(own.chain[0].to_vec()));
        let node = server.rooms.attestation.authenticate(&info).map_err(|error| error.to_string())?;
        let tainted = server.rooms.authorities.tainted().borrow().clone();
        if node.refuse_tainted(&tainted).is_err() {
            // Good for one renewal, and nothing else.
            return self.renew_tainted(server, &info).await;
        }
        let registry = &server.rooms.registry;
        if registry.view(|state| state.nodes.find(&self.id).is_some_and(|held| held.record.is_next(node.key()))) {
            server.rooms.attestation.note_use(&node).await.map_err(|error| error.to_string())?;
        }
        let (stream, start) = registry.open_stream(&self.id, *node.key(), self.told).map_err(|error| error.to_string())?;
        self.line = Some(Line { node, stream, info });
        self.counts.connections += 1;
        self.begin(server, start);
        Ok(())
    }

    async fn renew_tainted(&mut self, server: &Running, info: &ConnectionInfo) -> Result<(), String> {
        let (key, asked) = (Key::new(), self.now());
        let credential = self.ask_for_renewal(server, info, &key).await?;
        self.install(key, &credential, asked, &mut Chance::of(asked.since_boot.as_secs()));
        Box::pin(self.try_connect(server)).await
    }

    async fn ask_for_renewal(&self, server: &Running, info: &ConnectionInfo, key: &Key) -> Result<NodeCredential, String> {
        let attestation = &server.rooms.attestation;
        let node = attestation.authenticate_for_renewal(info).map_err(|error| error.to_string())?;
        let leaf = info.leaf_der.clone().unwrap_or_default();
        let request = RenewRequest {
            public_key: Base64(key.spki()),
            proof: key.sign(&possession_message(&EXPORTER, &key.spki(), &leaf)),
        };
        attestation.renew(&node, info, &request, TRACE).await.map_err(|error| error.to_string())
    }

    fn install(&mut self, key: Key, credential: &NodeCredential, asked: Reading, chance: &mut Chance) {
        self.membership = Some(Membership::new(key, credential, asked, chance));
        self.counts.node_renewals += 1;
    }

    async fn renew(&mut self, server: &Running, chance: &mut Chance) {
        let Some(line) = self.line.take() else { return };
        let (key, asked) = (Key::new(), self.now());
        match self.ask_for_renewal(server, &line.info, &key).await {
            Ok(credential) => {
                self.install(key, &credential, asked, chance);
                self.connect(server, chance).await;
                server.rooms.registry.close_stream(&self.id, &line.stream, server.now().wall);
            }
            Err(trouble) => {
                self.line = Some(line);
                self.trouble = trouble;
                if let Some(own) = &mut self.membership {
                    own.note_failure(asked, chance);
                }
            }
        }
    }

    /// Renews an SVID that has ended, within the grace period; past it, an operator gives the node a new link.
    async fn renew_expired(&mut self, server: &Running, chance: &mut Chance) {
        let (key, asked) = (Key::new(), self.now());
        match self.ask_after_expiry(server, &key).await {
            Ok(credential) => {
                self.install(key, &credential, asked, chance);
                self.counts.renewals_after_expiry += 1;
            }
            Err(trouble) => {
                self.trouble = trouble;
                self.rejoin(server, chance).await;
            }
        }
    }

    async fn ask_after_expiry(&self, server: &Running, key: &Key) -> Result<NodeCredential, String> {
        believes(&self.trust.bundle, server, self.now())?;
        let own = self.membership.as_ref().ok_or("no SVID")?;
        let message = possession_message(&EXPORTER, &key.spki(), &own.chain[0]);
        let request = RenewExpiredRequest {
            chain: own.chain.iter().map(|der| Base64(der.to_vec())).collect(),
            current_proof: own.key.sign(&message),
            public_key: Base64(key.spki()),
            proof: key.sign(&message),
        };
        let attestation = &server.rooms.attestation;
        attestation
            .renew_expired(&info(server, None, None), &request, TRACE)
            .await
            .map_err(|error| error.to_string())
    }

    /// Returns whether server and node have lost each other for good: one does not believe the other's root any more.
    fn is_lost(&self, server: &Running) -> bool {
        let is_server_known = believes(&self.trust.bundle, server, self.now()).is_ok();
        let is_node_known = self
            .membership
            .as_ref()
            .is_some_and(|own| verify_svid(&own.chain, &server.bundle(), self.now().wall).is_ok());
        !is_server_known || !is_node_known
    }

    /// Joins with a link that an operator makes now.
    async fn rejoin(&mut self, server: &Running, chance: &mut Chance) {
        if let Err(trouble) = self.try_join(server, chance).await {
            self.trouble = trouble;
        }
    }

    async fn try_join(&mut self, server: &Running, chance: &mut Chance) -> Result<(), String> {
        let (key, asked) = (Key::new(), self.now());
        let roots: Vec<_> = server.rooms.authorities.join_roots().iter().map(|root| RootHash::of_der(root)).collect();
        verify_server_by_root_hash(&server.chain(), &roots, server.bundle().trust_domain(), asked.wall).map_err(|error| format!("by the link: {error}"))?;
        let request = TokenRequest {
            ttl_s: 600,
            node_id: Some(self.name.clone()),
        };
        let made = server.rooms.tokens.create(&request).await.map_err(|error| error.to_string())?;
        let message = possession_message(&EXPORTER, &key.spki(), made.token.expose().as_bytes());
        let request = AttestRequest {
            proof: key.sign(&message),
            public_key: Base64(key.spki()),
            evidence: Evidence::JoinToken { token: made.token },
        };
        let credential = server
            .rooms
            .attestation
            .attest(&EXPORTER, &request, TRACE)
            .await
            .map_err(|error| error.to_string())?;
        assert_eq!(credential.spiffe_id, self.id);
        self.trust.bundle = Arc::new(TrustBundle::from(credential.bundle.clone()));
        self.told = None;
        self.membership = Some(Membership::new(key, &credential, asked, chance));
        self.counts.rejoined += 1;
        self.hang_up(Some(server));
        Box::pin(self.try_connect(server)).await
    }

    /// Ends the connection. A server that is no more has forgotten it already.
    pub(super) fn hang_up(&mut self, server: Option<&Running>) {
        self.forget_acknowledgement();
        if let (Some(line), Some(server)) = (self.line.take(), server) {
            server.rooms.registry.close_stream(&self.id, &line.stream, server.now().wall);
        }
    }
}
