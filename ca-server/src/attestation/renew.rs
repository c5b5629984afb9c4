//! A node gets its next SVID, for a new key.

use std::time::Duration;

use platform::tls::ConnectionInfo;
use rustls::pki_types::CertificateDer;
use trust_domains::node::{KeyStanding, NodeRecord, Turn};
use trust_domains::plan::validity::has_ended;
use trust_domains::public_key::{KeyHash, PublicKey};
use trust_domains::wire::node::{NodeCredential, RENEWAL_GRACE_S, RenewExpiredRequest, RenewRequest, possession_message};
use trust_domains::x509::{Certificate, VerifiedPeer, verify_svid};
use trust_domains::{SpiffeId, Timestamp};

use super::attest::{ATTEMPTS, Attestation, svid_of};
use super::error::AttestError;
use super::identity::{AuthenticatedNode, NodeRefused, judge};
use super::restored::readmitted;
use crate::decisions::Cause;
use crate::registry::HeldNode;
use crate::store::CommitError;

/// How long after the end of its SVID a node may renew it with the key of that SVID; nothing switches it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalGrace(pub Duration);

impl Default for RenewalGrace {
    fn default() -> Self {
        Self(Duration::from_secs(RENEWAL_GRACE_S))
    }
}

impl RenewalGrace {
    /// Says whether an SVID that ended then may be renewed now.
    fn allows(self, ended_at: Timestamp, now: Timestamp) -> Result<(), AttestError> {
        let renewable_until = ended_at + self.0;
        match (self.0.is_zero(), now <= renewable_until) {
            (true, _) => Err(AttestError::GraceOff { ended_at }),
            (false, false) => Err(AttestError::GraceOver { ended_at, renewable_until }),
            (false, true) => Ok(()),
        }
    }
}

/// A key that a node proved, and on what.
struct Proved<'a> {
    node: &'a SpiffeId,
    key: KeyHash,
    peer: Option<&'a VerifiedPeer>,
    /// When the connection was accepted.
    accepted_at: Duration,
    /// Whether the SVID of the key has ended.
    ended: bool,
}

impl Attestation {
    /// Renews the SVID of the node that a connection speaks for; the new key signs for the certificate of that connection.
    ///
    /// # Errors
    /// Possession of the new key is not proved, or the SVID cannot be recorded or issued.
    pub async fn renew(
        &self,
        node: &AuthenticatedNode,
        connection: &ConnectionInfo,
        request: &RenewRequest,
        trace_id: &str,
    ) -> Result<NodeCredential, AttestError> {
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        let leaf = connection.leaf_der.as_deref().unwrap_or_default();
        public_key.verify(&possession_message(&connection.exporter, public_key.spki(), leaf), &request.proof.0)?;
        let proved = Proved {
            node: node.spiffe_id(),
            key: *node.key(),
            peer: connection.peer.as_ref(),
            accepted_at: connection.accepted_at,
            ended: false,
        };
        self.renew_for(&proved, &public_key, trace_id).await
    }

    /// Renews an SVID that has ended, within the grace period. The connection has no client certificate; the ended SVID's key signs for itself.
    ///
    /// # Errors
    /// As [`renew`](Self::renew); and the SVID is not one of a known node, has not ended, or ended too long ago.
    pub async fn renew_expired(&self, connection: &ConnectionInfo, request: &RenewExpiredRequest, trace_id: &str) -> Result<NodeCredential, AttestError> {
        let peer = self.ended_peer(request)?;
        let leaf = request.chain.first().map(|leaf| leaf.0.as_slice()).unwrap_or_default();
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        let message = possession_message(&connection.exporter, public_key.spki(), leaf);
        peer.public_key()?.verify(&message, &request.current_proof.0)?;
        public_key.verify(&message, &request.proof.0)?;
        let proved = Proved {
            node: peer.spiffe_id(),
            key: *peer.key_hash(),
            peer: Some(&peer),
            accepted_at: connection.accepted_at,
            ended: true,
        };
        self.renew_for(&proved, &public_key, trace_id).await
    }

    /// Verifies an ended SVID as it was in its last second: its issuer may have ended too.
    fn ended_peer(&self, request: &RenewExpiredRequest) -> Result<VerifiedPeer, AttestError> {
        let now = self.clock.now().wall;
        let chain: Vec<_> = request.chain.iter().map(|certificate| CertificateDer::from(certificate.0.as_slice())).collect();
        let ended_at = end_of(&chain)?;
        if !has_ended(ended_at, now) {
            return Err(AttestError::NotEnded { valid_until: ended_at });
        }
        self.renewal_grace.allows(ended_at, now)?;
        let bundle = self.bundle.borrow().clone();
        Ok(verify_svid(&chain, &bundle, ended_at)?)
    }

    async fn renew_for(&self, proved: &Proved<'_>, new: &PublicKey, trace_id: &str) -> Result<NodeCredential, AttestError> {
        if new.hash() == proved.key {
            return Err(AttestError::KeyUnchanged);
        }
        let turn = self.turns.begin(proved.node, proved.accepted_at, self.clock.now().since_boot);
        for _ in 1..ATTEMPTS {
            match self.renew_once(proved, turn, new, trace_id).await {
                Err(AttestError::Commit(CommitError::Conflict { .. })) => self.registry.settled(self.store.revision()).await,
                outcome => return outcome,
            }
        }
        self.renew_once(proved, turn, new, trace_id).await
    }

    /// The record names the new key before a certificate for it exists. The old one stays good until the new one is used.
    async fn renew_once(&self, proved: &Proved<'_>, turn: Turn, new: &PublicKey, trace_id: &str) -> Result<NodeCredential, AttestError> {
        let held = self.node_of(proved.node).map_err(|refused| match proved.peer {
            Some(peer) => self.after_restore(refused, peer),
            None => refused,
        })?;
        // After the record was read: a newer one that is committed from here on makes the commit below a conflict.
        if self.turns.is_overtaken(proved.node, turn) {
            return Err(AttestError::Overtaken { node: proved.node.clone() });
        }
        let unknown = self.judge_renewal(proved, &held.record)?;
        let prepared = self.issuance.prepare_node_svid(proved.node, new, proved.node.as_str(), trace_id)?;
        // A node that renews with its next key has begun to use it; one whose record is older than a restored backup, with another.
        let begun = match unknown {
            Some(peer) => Some(readmitted(&held.record, peer)),
            None => held.record.promoted(&proved.key),
        };
        let _giving_up = begun.as_ref().map(|_| self.promotions.begin(held.record.current(), &self.clock));
        let record = begun.as_ref().unwrap_or(&held.record).renewing(svid_of(new, &prepared));
        let unusual = [(proved.ended, "node_renewed_after_expiry"), (unknown.is_some(), "node_renewed_after_restore")];
        let cause = Cause {
            actor: proved.node.to_string(),
            trace_id: trace_id.to_owned(),
        };
        let unusual = unusual.iter().filter(|(holds, _)| *holds);
        self.decisions
            .record(unusual.map(|(_, action)| cause.decision(action, proved.node)).collect())
            .await?;
        self.committed(self.replacing("node_renewed", &held, &record)?).await?;
        Ok(self.credential(self.issuance.issue_prepared(prepared).await?))
    }

    /// Says whether a proved key may renew, by the node's record as it is now; returns the SVID that the record is too old to know.
    fn judge_renewal<'a>(&self, proved: &Proved<'a>, record: &NodeRecord) -> Result<Option<&'a VerifiedPeer>, NodeRefused> {
        if let Some(peer) = proved.peer.filter(|peer| self.registry.refuses_renewal(peer)) {
            return Err(NodeRefused::Revoked {
                node: proved.node.clone(),
                serial: *peer.serial(),
            });
        }
        match (self.judge_proof(proved.node, record, &proved.key, proved.accepted_at), proved.peer) {
            (Err(refused @ NodeRefused::KeyReplaced { .. }), Some(peer)) => match self.after_restore(refused, peer) {
                NodeRefused::RecordOutdated { .. } => Ok(Some(peer)),
                refused => Err(refused),
            },
            (judged, _) => judged.map(|()| None),
        }
    }

    /// Judges a key that was proved on a connection accepted at a moment since boot, by the node's record as it is now.
    fn judge_proof(&self, node: &SpiffeId, record: &NodeRecord, key: &KeyHash, accepted_at: Duration) -> Result<(), NodeRefused> {
        match judge(node, Some(record), key) {
            Err(NodeRefused::KeyReplaced { node }) if self.shows_copy(record, key, accepted_at) => Err(NodeRefused::KeyCopied { node }),
            judged => judged,
        }
    }

    fn shows_copy(&self, record: &NodeRecord, key: &KeyHash, accepted_at: Duration) -> bool {
        record.standing(key, self.promotions.time_of(key, accepted_at)) == KeyStanding::Copied
    }

    /// Says which node a connection speaks for, now, and whether its key is a copy.
    ///
    /// # Errors
    /// It speaks for none.
    pub fn authenticate(&self, connection: &ConnectionInfo) -> Result<AuthenticatedNode, NodeRefused> {
        let peer = connection.peer.as_ref().ok_or(NodeRefused::NoCertificate)?;
        AuthenticatedNode::check(Some(peer), &self.registry, self.clock.now().wall).map_err(|refused| match refused {
            NodeRefused::KeyReplaced { node } if self.is_copied(&node, peer, connection.accepted_at) => NodeRefused::KeyCopied { node },
            refused => self.after_restore(refused, peer),
        })
    }

    fn is_copied(&self, node: &SpiffeId, peer: &VerifiedPeer, accepted_at: Duration) -> bool {
        self.node_of(node).is_ok_and(|held| self.shows_copy(&held.record, peer.key_hash(), accepted_at))
    }

    /// Notes that a node uses its next key: from now on the old one is refused.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn note_use(&self, node: &AuthenticatedNode) -> Result<(), AttestError> {
        let Ok(held) = self.node_of(node.spiffe_id()) else { return Ok(()) };
        let Some(record) = held.record.promoted(node.key()) else { return Ok(()) };
        let _giving_up = self.promotions.begin(held.record.current(), &self.clock);
        match self.committed(self.replacing("node_key_promoted", &held, &record)?).await {
            // Another call of the same node was quicker.
            Err(CommitError::Conflict { .. }) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    fn node_of(&self, node: &SpiffeId) -> Result<HeldNode, NodeRefused> {
        self.registry
            .view(|state| state.nodes.find(node).cloned())
            .ok_or_else(|| NodeRefused::Unknown { presented: node.clone() })
    }
}

/// Returns when the leaf of a chain ends, by its own word; what that is worth is verified afterwards.
fn end_of(chain: &[CertificateDer<'_>]) -> Result<Timestamp, AttestError> {
    let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
    Ok(Certificate::parse(leaf)?.not_after())
}
