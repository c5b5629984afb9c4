//! Bans and evictions: what a node held and what was issued through it goes with it.
//!
//! The rule is in the same commit as the ban, and open: whatever was under way then falls under it too. It is closed when the node is banned no more, so that
//! a node that joins again under the name is not meant.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::node::NodeRecord;
use trust_domains::revocation::{RevocationBound, RevocationCause, RevocationRule, RevocationTarget};
use trust_domains::{SpiffeId, Timestamp};

use super::Revocations;
use super::error::RevokeError;
use super::order::Draft;
use super::rule_id::rule_of_node;
use crate::decisions::Cause;
use crate::registry::records::RecordError;
use crate::registry::{HeldRule, State, records};
use crate::store::{Commit, CommitError, Key, RecordName};

impl Revocations {
    /// Adds the open rule of a node to the commit that bans or evicts it, where the node holds anything that has not ended.
    ///
    /// # Errors
    /// The rule cannot be encoded: a fault of this program.
    pub fn with_rule_of(&self, commit: Commit, node: &NodeRecord, cause: RevocationCause, actor: &Cause) -> Result<Commit, RecordError> {
        let target = RevocationTarget::Node {
            spiffe_id: node.spiffe_id().clone(),
        };
        let Some(Draft { mut rule, .. }) = self.draft(target, cause, None, actor) else {
            return Ok(commit);
        };
        rule.bound.before = None;
        let key = Key::revocation(&rule_of_node(node.name()));
        let stored = records::encode(&key, &rule)?;
        Ok(commit.put(key, stored))
    }

    /// Closes the open rules of nodes that are not banned: what is issued from now on is not meant. Returns how many there were.
    ///
    /// # Errors
    /// A rule cannot be committed; it stays open and is closed at the next look.
    pub async fn close_lifted(&self) -> Result<usize, RevokeError> {
        let open = self.registry.view(lifted);
        for (id, held) in &open {
            let key = Key::revocation(id);
            let closed = self.closed(&held.rule);
            let commit = Commit::new("revocation_closed").unmodified(key.clone(), held.modified);
            let stored = records::encode(&key, &closed)?;
            match self.store.commit(commit.put(key, stored)).await {
                Ok(revision) => self.registry.settled(revision).await,
                // Someone banned it again.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(open.len())
    }

    fn closed(&self, rule: &RevocationRule) -> RevocationRule {
        let now = self.clock.now().wall;
        let bound = RevocationBound {
            before: Some(now),
            through: self.journal.last_seq(),
            epoch: self.epoch(),
        };
        let closed = RevocationRule { bound, ..rule.clone() };
        let found = self.journal.concerned([&closed].into_iter(), self.epoch(), 0);
        let until = found.iter().map(|found| found.not_after).max().unwrap_or(rule.until);
        RevocationRule {
            until: until.max(rule.until),
            ..closed
        }
    }

    /// Takes away the rules that are over, some at once. This cannot be undone: only while the clock is believed.
    ///
    /// # Errors
    /// They cannot be committed; they are taken away at the next look. `grace` is how long nodes may renew after the end of their SVIDs.
    pub async fn sweep(&self, now: Timestamp, grace: Duration) -> Result<usize, RevokeError> {
        let over = self.registry.view(|state| {
            let over = state.rules.iter().filter(|(_, held)| held.rule.is_over(now, grace));
            over.map(|(id, held)| (id.clone(), held.modified)).take(SWEPT_AT_ONCE).collect::<Vec<_>>()
        });
        if over.is_empty() {
            return Ok(0);
        }
        let commit = over.iter().fold(Commit::new("revocations_over"), |commit, (id, modified)| {
            let key = Key::revocation(id);
            commit.unmodified(key.clone(), *modified).delete(key)
        });
        let revision = self.store.commit(commit).await?;
        self.registry.settled(revision).await;
        Ok(over.len())
    }
}

/// How many rules leave the store in one commit.
const SWEPT_AT_ONCE: usize = 1_000;

/// Returns the open rules whose node is not banned now: it was evicted, or its ban was lifted otherwise.
fn lifted(state: &State) -> Vec<(RecordName, HeldRule)> {
    let is_banned = |node: &SpiffeId| state.nodes.find(node).is_some_and(|held| held.record.is_banned());
    let is_lifted = |held: &HeldRule| match &held.rule.target {
        RevocationTarget::Node { spiffe_id } => held.rule.bound.before.is_none() && !is_banned(spiffe_id),
        RevocationTarget::Entry { .. } | RevocationTarget::Listed { .. } | RevocationTarget::Serial { .. } | RevocationTarget::SpiffeId { .. } => false,
    };
    let open = state.rules.iter().filter(|(_, held)| is_lifted(held));
    open.map(|(id, held)| {
        (
            id.clone(),
            HeldRule {
                rule: Arc::clone(&held.rule),
                modified: held.modified,
            },
        )
    })
    .collect()
}
