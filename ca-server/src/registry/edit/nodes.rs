//! Banning and evicting nodes.
//!
//! A ban keeps the record: nothing the node holds is served, and no join link lifts it. An eviction removes the record, and with it a ban. Both end the
//! node's streams as soon as the registry shows them. The entries of the node stay: they name its SPIFFE ID, give nothing to anybody while it is away, and
//! serve it again when a node of that name joins. Both revoke the node's SVID and everything that was issued through it, in the same commit. Taking a node out for good is `entry delete` beside `node evict`.

use trust_domains::SpiffeId;
use trust_domains::revocation::RevocationCause;

use super::{EditError, Editor};
use crate::decisions::Cause;
use crate::registry::{HeldNode, records};
use crate::store::{Commit, CommitError, Key};

/// How often a change is tried again when the node changed at the same moment, by a renewal.
const ATTEMPTS: usize = 4;

impl Editor {
    /// Bans a node; a banned one stays so. Returns it as it is then.
    ///
    /// # Errors
    /// There is no such node, or the change cannot be recorded or committed.
    pub async fn ban(&self, text: &str, cause: &Cause) -> Result<HeldNode, EditError> {
        let node = self.registry.find_node(&self.trust_domain, text)?;
        if node.record.is_banned() {
            return Ok(node);
        }
        self.decisions.record(vec![cause.decision("node_banned", node.record.spiffe_id())]).await?;
        self.replace(node.record.spiffe_id(), |held| {
            let key = Key::node(held.record.name());
            let stored = records::encode(&key, &held.record.with_ban(true))?;
            let commit = Commit::new("node_banned").unmodified(key.clone(), held.modified).put(key, stored);
            Ok(self.revocations.with_rule_of(commit, &held.record, RevocationCause::Banned, cause)?)
        })
        .await?;
        self.registry.find_node(&self.trust_domain, node.record.name().as_str())
    }

    /// Evicts a node, and returns it as it was.
    ///
    /// # Errors
    /// As [`ban`](Self::ban).
    pub async fn evict(&self, text: &str, cause: &Cause) -> Result<HeldNode, EditError> {
        let node = self.registry.find_node(&self.trust_domain, text)?;
        self.decisions.record(vec![cause.decision("node_evicted", node.record.spiffe_id())]).await?;
        self.replace(node.record.spiffe_id(), |held| {
            let key = Key::node(held.record.name());
            let commit = Commit::new("node_evicted").unmodified(key.clone(), held.modified).delete(key);
            Ok(self.revocations.with_rule_of(commit, &held.record, RevocationCause::Evicted, cause)?)
        })
        .await?;
        // Before anybody is told: a node that joins again under the name is not meant. If it fails the publisher closes the rule.
        if let Err(error) = self.revocations.close_lifted().await {
            tracing::warn!(%error, node = %node.record.spiffe_id(), "the revocation of an evicted node stays open; it is closed at the next look");
        }
        Ok(node)
    }

    /// Removes a node at its own wish. Nothing is revoked: a fleet that grows and shrinks every day would fill the lists, and a node that was taken over does
    /// not leave. Who doubts it revokes by its SPIFFE ID.
    ///
    /// # Errors
    /// As [`ban`](Self::ban).
    pub async fn leave(&self, node: &SpiffeId, cause: &Cause) -> Result<HeldNode, EditError> {
        let node = self.registry.find_node(&self.trust_domain, node.as_str())?;
        self.decisions.record(vec![cause.decision("node_left", node.record.spiffe_id())]).await?;
        self.replace(node.record.spiffe_id(), |held| {
            let key = Key::node(held.record.name());
            Ok(Commit::new("node_left").unmodified(key.clone(), held.modified).delete(key))
        })
        .await?;
        Ok(node)
    }

    /// Commits a change of a node as it is at that moment; gone meanwhile is gone.
    async fn replace(&self, node: &SpiffeId, change: impl Fn(&HeldNode) -> Result<Commit, EditError>) -> Result<(), EditError> {
        let mut attempts = 0;
        loop {
            let held = self.registry.find_node(&self.trust_domain, node.as_str())?;
            attempts += 1;
            match self.store.commit(change(&held)?).await {
                Ok(revision) => {
                    self.registry.settled(revision).await;
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) if attempts < ATTEMPTS => self.registry.settled(self.store.revision()).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
