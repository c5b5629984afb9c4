//! A new node proves itself and gets its first node SVID; each step of the order has its reason.

use std::sync::Arc;

use platform::sealing::Sealer;
use tokio::sync::watch;
use trust_domains::clock::SharedClock;
use trust_domains::join_link::JoinToken;
use trust_domains::node::{NodeAttestor, NodeName, NodeRecord, NodeSvid};
use trust_domains::problem::Coded as _;
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{AttestRequest, EXPORTER_LEN, Evidence, NodeCredential, possession_message};
use trust_domains::{SelectorSet, SpiffeBundle, SpiffeId, TrustBundle, TrustDomain};

use super::error::{AttestError, TokenError};
use super::identity::NodeRefused;
use super::promotions::Promotions;
use super::renew::RenewalGrace;
use super::repeated::RepeatedRefusals;
use super::restored::RestoreWindow;
use super::token::{Admission, TokenId, TokenRecord};
use super::turns::Turns;
use super::x509pop::{Presented, X509PopPolicy};
use crate::decisions::{Cause, DecisionLog};
use crate::issuance::{Issuance, IssuedSvid, PreparedSvid};
use crate::registry::{HeldNode, Registry, records};
use crate::store::{Commit, CommitError, Key, SharedStore};

/// How often a commit is tried again when somebody changed the node or its token at the same moment. Each try looks anew, and the second look finds who won.
pub(super) const ATTEMPTS: usize = 4;

/// Admits nodes and renews their SVIDs.
pub struct Attestation {
    /// Whose nodes.
    pub trust_domain: TrustDomain,
    /// Where nodes and tokens are.
    pub store: SharedStore,
    /// What shows of them.
    pub registry: Arc<Registry>,
    /// Issues their SVIDs.
    pub issuance: Arc<Issuance>,
    /// Takes decisions.
    pub decisions: DecisionLog,
    /// Opens tokens.
    pub sealer: Arc<Sealer>,
    /// What nodes shall trust.
    pub bundle: watch::Receiver<Arc<TrustBundle>>,
    /// How long after its end a node SVID may be renewed.
    pub renewal_grace: RenewalGrace,
    /// Which certificates admit nodes, if any do.
    pub x509pop: Option<X509PopPolicy>,
    /// Which refusals of certificates were recorded lately.
    pub certificate_refusals: RepeatedRefusals,
    /// When nodes gave up keys.
    pub promotions: Promotions,
    /// Which renewal of each node is its newest.
    pub turns: Turns,
    /// Whether this store was restored a short while ago.
    pub restore_window: RestoreWindow,
    /// The clock.
    pub clock: SharedClock,
}

/// A token that admits the presented key, as it was when it was looked at.
struct Admitted {
    id: TokenId,
    record: TokenRecord,
    modified: u64,
    admission: Admission,
}

impl Attestation {
    /// Admits a node that holds a join token, or the key of a certificate, and the key it presents.
    ///
    /// # Errors
    /// Possession is not proved, the token is not good for this key, the node is banned, or the SVID cannot be recorded or issued.
    pub async fn attest(&self, exporter: &[u8; EXPORTER_LEN], request: &AttestRequest, trace_id: &str) -> Result<NodeCredential, AttestError> {
        let token = match &request.evidence {
            Evidence::JoinToken { token } => token,
            Evidence::X509Pop { chain, algorithm, signature } => {
                let presented = Presented {
                    chain,
                    algorithm: *algorithm,
                    signature: &signature.0,
                };
                return self.attest_by_certificate(&presented, exporter, request, trace_id).await;
            }
        };
        let cause = Cause {
            actor: format!("token:{}", TokenId::of(token)),
            trace_id: trace_id.to_owned(),
        };
        let outcome = self.attest_with(token, exporter, request, &cause).await;
        if let Err(error) = &outcome {
            self.note_refusal(error, TokenId::of(token), &cause).await;
        }
        outcome
    }

    async fn attest_with(
        &self,
        token: &JoinToken,
        exporter: &[u8; EXPORTER_LEN],
        request: &AttestRequest,
        cause: &Cause,
    ) -> Result<NodeCredential, AttestError> {
        // Possession first: it needs nothing that is stored, and binds the key, the token and this connection.
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        public_key.verify(&possession_message(exporter, public_key.spki(), token.expose().as_bytes()), &request.proof.0)?;
        for _ in 1..ATTEMPTS {
            match self.admit(token, &public_key, cause).await {
                Err(AttestError::Commit(CommitError::Conflict { .. })) => self.registry.settled(self.store.revision()).await,
                outcome => return outcome,
            }
        }
        self.admit(token, &public_key, cause).await
    }

    /// Judges the token as it is now; prepares; commits token and node as one; records, signs and answers.
    async fn admit(&self, token: &JoinToken, public_key: &PublicKey, cause: &Cause) -> Result<NodeCredential, AttestError> {
        let admitted = self.token(token, public_key)?;
        let node = SpiffeId::agent(&self.trust_domain, NodeAttestor::JoinToken, &admitted.record.node);
        self.refuse_taken(&admitted.record.node, &node)?;
        let known = self.known_node(&node)?;
        let prepared = self.issuance.prepare_node_svid(&node, public_key, &cause.actor, &cause.trace_id)?;
        let commit = match admitted.admission {
            Admission::First => self.joining(admitted, known, &node, public_key, &prepared)?,
            Admission::Again => self.repeating(known, public_key, &prepared)?,
        };
        self.decisions.record(vec![cause.decision("node_attested", &node)]).await?;
        self.committed(commit).await?;
        Ok(self.credential(self.issuance.issue_prepared(prepared).await?))
    }

    fn token(&self, token: &JoinToken, public_key: &PublicKey) -> Result<Admitted, AttestError> {
        let id = TokenId::of(token);
        let held = self.registry.view(|state| state.tokens.get(id.name()).cloned()).ok_or(TokenError::Unknown)?;
        let record = TokenRecord::open(&self.sealer, &id, &held.sealed)?;
        let admission = record.admit(token, &public_key.hash(), self.clock.now().wall)?;
        Ok(Admitted {
            id,
            record,
            modified: held.modified,
            admission,
        })
    }

    /// A join token names its node when it is made; meanwhile one of that name may have joined otherwise.
    fn refuse_taken(&self, name: &NodeName, node: &SpiffeId) -> Result<(), AttestError> {
        match self.registry.view(|state| state.nodes.named(name).cloned()) {
            Some(held) if held.record.spiffe_id() != node => Err(AttestError::NameTaken {
                name: name.clone(),
                by: held.record.attestation(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the node of this name if there is one; a ban is not lifted by a link.
    fn known_node(&self, node: &SpiffeId) -> Result<Option<HeldNode>, NodeRefused> {
        match self.registry.view(|state| state.nodes.find(node).cloned()) {
            Some(held) if held.record.is_banned() => Err(NodeRefused::Banned { node: node.clone() }),
            known => Ok(known),
        }
    }

    /// The token is used up in the commit that makes the node, or gives it a new beginning: of a hundred at once one wins.
    fn joining(
        &self,
        admitted: Admitted,
        known: Option<HeldNode>,
        node: &SpiffeId,
        public_key: &PublicKey,
        prepared: &PreparedSvid,
    ) -> Result<Commit, AttestError> {
        let record = NodeRecord::new(node.clone(), SelectorSet::default(), self.clock.now().wall, svid_of(public_key, prepared))?;
        let key = Key::node(record.name());
        let token = admitted.record.bound_to(public_key.hash()).seal(&self.sealer, &admitted.id)?;
        let commit = Commit::new("node_attested")
            .unmodified(admitted.id.key(), admitted.modified)
            .put(admitted.id.key(), token);
        let commit = match known {
            None => commit.absent(key.clone()),
            Some(held) => commit.unmodified(key.clone(), held.modified),
        };
        let stored = records::encode(&key, &record)?;
        Ok(commit.put(key, stored))
    }

    /// The answer was lost: the same key gets the same node again, while it still is the node's key.
    fn repeating(&self, known: Option<HeldNode>, public_key: &PublicKey, prepared: &PreparedSvid) -> Result<Commit, AttestError> {
        let held = known.filter(|held| held.record.current().key == public_key.hash()).ok_or(TokenError::Used)?;
        let record = held.record.reissued(svid_of(public_key, prepared));
        self.replacing("node_attested_again", &held, &record)
    }

    /// Returns the commit that replaces a node's record, if nobody changed it meanwhile.
    pub(super) fn replacing(&self, name: &'static str, held: &HeldNode, record: &NodeRecord) -> Result<Commit, AttestError> {
        let key = Key::node(record.name());
        let stored = records::encode(&key, record)?;
        Ok(Commit::new(name).unmodified(key.clone(), held.modified).put(key, stored))
    }

    /// Commits, and waits until the registry shows it: the node's next call is served.
    pub(super) async fn committed(&self, commit: Commit) -> Result<(), CommitError> {
        let revision = self.store.commit(commit).await?;
        self.registry.settled(revision).await;
        Ok(())
    }

    pub(super) fn credential(&self, svid: IssuedSvid) -> NodeCredential {
        let expires_in_s = self.clock.now().wall.duration_until(svid.expires_at).as_secs();
        NodeCredential {
            chain: svid.chain().into_iter().map(Base64).collect(),
            spiffe_id: svid.spiffe_id,
            issued_at: svid.issued_at,
            expires_at: svid.expires_at,
            expires_in_s,
            bundle: SpiffeBundle::from(&**self.bundle.borrow()),
        }
    }

    /// Refusals of a token that was made here go into the journal: someone holds a link that is used up, ended, or of a banned node. What strangers send is
    /// only counted and logged; it must not fill the journal.
    async fn note_refusal(&self, error: &AttestError, token: TokenId, cause: &Cause) {
        tracing::info!(%token, code = %error.code(), %error, "a node was refused");
        if let AttestError::Token(TokenError::Used | TokenError::Expired { .. }) | AttestError::Node(NodeRefused::Banned { .. }) = error {
            let mut refusal = cause.decision("attest_refused", token);
            refusal.reason = Some(error.code().word().to_owned());
            self.decisions.record_refusal(refusal).await;
        }
    }
}

pub(super) fn svid_of(public_key: &PublicKey, prepared: &PreparedSvid) -> NodeSvid {
    NodeSvid {
        key: public_key.hash(),
        serial: prepared.serial(),
        expires_at: prepared.expires_at(),
    }
}
