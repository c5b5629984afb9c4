//! Join tokens: made by an operator, listed, deleted, and swept away some time after their end.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use platform::random;
use platform::sealing::Sealer;
use trust_domains::Timestamp;
use trust_domains::clock::SharedClock;
use trust_domains::join_link::JoinToken;
use trust_domains::node::NodeName;
use trust_domains::wire::admin::{TokenRequest, TokenView};

use super::error::AttestError;
use super::identity::NodeRefused;
use super::token::{SealedTokenError, TokenId, TokenRecord};
use crate::registry::{HeldToken, Registry};
use crate::store::{Commit, CommitError, SharedStore};

/// The bounds of a token's life, in seconds: enough to paste a command, and no longer than an installation that is planned for this week.
pub const TOKEN_TTL_S: RangeInclusive<u64> = 10..=7 * 86_400;

/// The most tokens kept: twice the nodes of the largest fleet in the design (P9), at about 300 bytes each.
pub const MAX_TOKENS: usize = 10_000;

/// How long an ended token is kept, so that whoever uses it is told that it ended, and not that nobody knows it.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(86_400);

/// The most ended tokens swept away at once: one small commit.
const SWEPT_AT_ONCE: usize = 1_000;

/// The join tokens of a trust domain.
pub struct JoinTokens {
    store: SharedStore,
    registry: Arc<Registry>,
    sealer: Arc<Sealer>,
    clock: SharedClock,
}

/// A token that was just made.
#[derive(Debug)]
pub struct NewToken {
    /// Names it.
    pub id: TokenId,
    /// The token: a secret.
    pub token: JoinToken,
    /// The name that its node will have.
    pub node: NodeName,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl JoinTokens {
    /// Returns the tokens in a store.
    #[must_use]
    pub fn new(store: SharedStore, registry: Arc<Registry>, sealer: Arc<Sealer>, clock: SharedClock) -> Self {
        Self {
            store,
            registry,
            sealer,
            clock,
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The life is out of bounds, the node is banned, there are too many tokens, or it cannot be stored.
    pub async fn create(&self, request: &TokenRequest) -> Result<NewToken, AttestError> {
        if !TOKEN_TTL_S.contains(&request.ttl_s) {
            return Err(AttestError::Ttl { actual: request.ttl_s });
        }
        let node = match &request.node_id {
            Some(name) => self.refuse_banned(name)?,
            None => NodeName::from_random(random::array()?),
        };
        if self.registry.view(|state| state.tokens.len()) >= MAX_TOKENS {
            return Err(AttestError::TooManyTokens { limit: MAX_TOKENS });
        }
        let token = JoinToken::from_random(random::array()?);
        let expires_at = self.clock.now().wall + Duration::from_secs(request.ttl_s);
        let id = TokenId::of(&token);
        let sealed = TokenRecord::new(&token, node.clone(), expires_at).seal(&self.sealer, &id)?;
        let commit = Commit::new("token_created").absent(id.key()).put(id.key(), sealed);
        let revision = self.store.commit(commit).await?;
        self.registry.settled(revision).await;
        Ok(NewToken { id, token, node, expires_at })
    }

    /// A new link does not lift a ban: the operator learns it here, not on the node.
    fn refuse_banned(&self, name: &NodeName) -> Result<NodeName, NodeRefused> {
        self.registry.view(|state| match state.nodes.named(name) {
            Some(held) if held.record.is_banned() => Err(NodeRefused::Banned {
                node: held.record.spiffe_id().clone(),
            }),
            _ => Ok(name.clone()),
        })
    }

    /// Returns the tokens after an id, at most so many, and whether there are more.
    ///
    /// # Errors
    /// A stored token cannot be opened.
    pub fn list(&self, after: Option<&TokenId>, limit: usize) -> Result<(Vec<TokenView>, bool), SealedTokenError> {
        let start = after.map_or(std::ops::Bound::Unbounded, |id| std::ops::Bound::Excluded(id.name().clone()));
        let held: Vec<_> = self.registry.view(|state| {
            let range = state.tokens.range((start, std::ops::Bound::Unbounded));
            range
                .take(limit + 1)
                .map(|(name, held)| (TokenId::of_record(name.clone()), held.clone()))
                .collect()
        });
        let more = held.len() > limit;
        let views = held.into_iter().take(limit).map(|(id, held)| self.view(id, &held)).collect::<Result<_, _>>()?;
        Ok((views, more))
    }

    fn view(&self, id: TokenId, held: &HeldToken) -> Result<TokenView, SealedTokenError> {
        let record = TokenRecord::open(&self.sealer, &id, &held.sealed)?;
        Ok(TokenView {
            id: id.to_string(),
            node_id: record.node.clone(),
            expires_at: record.expires_at,
            used: record.is_used(),
        })
    }

    /// Deletes a token; returns whether there was one.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn delete(&self, id: &TokenId) -> Result<bool, CommitError> {
        match self.store.commit(Commit::new("token_deleted").present(id.key()).delete(id.key())).await {
            Ok(revision) => {
                self.registry.settled(revision).await;
                Ok(true)
            }
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a token that has not ended names this node.
    #[must_use]
    pub fn announces(&self, name: &NodeName) -> bool {
        let now = self.clock.now().wall;
        self.opened().into_iter().any(|(_, record)| record.node == *name && now < record.expires_at)
    }

    /// Deletes tokens that ended long ago.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn sweep(&self) -> Result<usize, CommitError> {
        let now = self.clock.now().wall;
        let ended = |record: &TokenRecord| record.expires_at + KEPT_AFTER_END < now;
        let over: Vec<_> = self
            .opened()
            .into_iter()
            .filter(|(_, record)| ended(record))
            .map(|(id, _)| id)
            .take(SWEPT_AT_ONCE)
            .collect();
        if over.is_empty() {
            return Ok(0);
        }
        let commit = over.iter().fold(Commit::new("tokens_swept"), |commit, id| commit.delete(id.key()));
        self.store.commit(commit).await?;
        Ok(over.len())
    }

    /// Every token that opens.
    fn opened(&self) -> Vec<(TokenId, TokenRecord)> {
        let held: Vec<_> = self
            .registry
            .view(|state| state.tokens.iter().map(|(name, held)| (name.clone(), held.sealed.clone())).collect());
        let open = |(name, sealed): (_, bytes::Bytes)| {
            let id = TokenId::of_record(name);
            let record = TokenRecord::open(&self.sealer, &id, &sealed).ok()?;
            Some((id, record))
        };
        held.into_iter().filter_map(open).collect()
    }
}
