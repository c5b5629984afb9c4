//! A node gets its next SVID, for a new key.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use trust_domains::public_key::{KeyHash, PublicKey};
use trust_domains::wire::node::{EXPORTER_LEN, NodeCredential, RENEWAL_GRACE_S, RenewExpiredRequest, RenewRequest, possession_message};
use trust_domains::x509::{Certificate, VerifiedPeer, verify_svid};
use trust_domains::{SpiffeId, Timestamp};

use super::attest::{ATTEMPTS, Attestation, svid_of};
use super::error::AttestError;
use super::identity::{AuthenticatedNode, NodeRefused, judge};
use crate::registry::HeldNode;
use crate::store::CommitError;

impl Attestation {
    /// Renews the SVID of the node that a connection speaks for; `leaf` is the certificate of that connection.
    ///
    /// # Errors
    /// Possession of the new key is not proved, or the SVID cannot be recorded or issued.
    pub async fn renew(
        &self,
        node: &AuthenticatedNode,
        leaf: &[u8],
        exporter: &[u8; EXPORTER_LEN],
        request: &RenewRequest,
        trace_id: &str,
    ) -> Result<NodeCredential, AttestError> {
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        public_key.verify(&possession_message(exporter, public_key.spki(), leaf), &request.proof.0)?;
        self.renew_for(node.spiffe_id(), node.key(), &public_key, trace_id).await
    }

    /// Renews an SVID that has ended, within the grace period. The connection has no client certificate; the ended SVID's key signs for itself.
    ///
    /// # Errors
    /// As [`renew`](Self::renew); and the SVID is not one of a known node, has not ended, or ended too long ago.
    pub async fn renew_expired(&self, exporter: &[u8; EXPORTER_LEN], request: &RenewExpiredRequest, trace_id: &str) -> Result<NodeCredential, AttestError> {
        let peer = self.ended_peer(request)?;
        let leaf = request.chain.first().map(|leaf| leaf.0.as_slice()).unwrap_or_default();
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        let message = possession_message(exporter, public_key.spki(), leaf);
        peer.public_key()?.verify(&message, &request.current_proof.0)?;
        public_key.verify(&message, &request.proof.0)?;
        self.renew_for(peer.spiffe_id(), peer.key_hash(), &public_key, trace_id).await
    }

    /// Verifies an ended SVID as it was in its last second: its issuer may have ended too.
    fn ended_peer(&self, request: &RenewExpiredRequest) -> Result<VerifiedPeer, AttestError> {
        let now = self.clock.now().wall;
        let chain: Vec<_> = request.chain.iter().map(|certificate| CertificateDer::from(certificate.0.as_slice())).collect();
        let ended_at = end_of(&chain)?;
        if now <= ended_at {
            return Err(AttestError::NotEnded { valid_until: ended_at });
        }
        let renewable_until = ended_at + Duration::from_secs(RENEWAL_GRACE_S);
        if now > renewable_until {
            return Err(AttestError::GraceOver { ended_at, renewable_until });
        }
        let bundle = self.bundle.borrow().clone();
        Ok(verify_svid(&chain, &bundle, ended_at)?)
    }

    async fn renew_for(&self, node: &SpiffeId, proved: &KeyHash, new: &PublicKey, trace_id: &str) -> Result<NodeCredential, AttestError> {
        if new.hash() == *proved {
            return Err(AttestError::KeyUnchanged);
        }
        for _ in 1..ATTEMPTS {
            match self.renew_once(node, proved, new, trace_id).await {
                Err(AttestError::Commit(CommitError::Conflict { .. })) => self.registry.settled(self.store.revision()).await,
                outcome => return outcome,
            }
        }
        self.renew_once(node, proved, new, trace_id).await
    }

    /// The record names the new key before a certificate for it exists. The old one stays good until the new one is used.
    async fn renew_once(&self, node: &SpiffeId, proved: &KeyHash, new: &PublicKey, trace_id: &str) -> Result<NodeCredential, AttestError> {
        let held = self.node_of(node)?;
        judge(node, Some(&held.record), proved)?;
        let prepared = self.issuance.prepare_node_svid(node, new, node.as_str(), trace_id)?;
        // A node that renews with its next key has begun to use it.
        let begun = held.record.promoted(proved);
        let record = begun.as_ref().unwrap_or(&held.record).renewing(svid_of(new, &prepared));
        self.committed(self.replacing("node_renewed", &held, &record)?).await?;
        Ok(self.credential(self.issuance.issue_prepared(prepared).await?))
    }

    /// Notes that a node uses its next key: from now on the old one is refused.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn note_use(&self, node: &AuthenticatedNode) -> Result<(), AttestError> {
        let Ok(held) = self.node_of(node.spiffe_id()) else { return Ok(()) };
        let Some(record) = held.record.promoted(node.key()) else { return Ok(()) };
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
