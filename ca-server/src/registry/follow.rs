//! Reading the store once, and following it.

use std::sync::Arc;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use trust_domains::problem::{Code, Coded};

use super::Registry;
use super::apply::RecordChange;
use super::records::RecordError;
use super::state::State;
use crate::attestation::identity;
use crate::store::{Prefix, Store, StoreError, WatchEvent};

/// The registry cannot be read from the store.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// A record cannot be read: the start is refused, since a lost entry would look like a deleted one.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RegistryError {
    fn code(&self) -> Code {
        match self {
            Self::Record(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Registry {
    /// Reads the store.
    ///
    /// # Errors
    /// The store or one of its records cannot be read.
    pub async fn load(store: &dyn Store) -> Result<Arc<Self>, RegistryError> {
        let state = read_all(store).await?;
        Ok(Self::starting_with(store.revision().epoch, state))
    }

    /// Applies the store's commits until it closes or the server ends.
    pub async fn follow(&self, store: &dyn Store, shutdown: &CancellationToken) {
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = self.follow_to_the_end(store) => ended,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the registry cannot follow the store any more");
        }
        self.progress.send_modify(|progress| progress.follows = false);
    }

    async fn follow_to_the_end(&self, store: &dyn Store) -> Result<(), RegistryError> {
        loop {
            let mut watch = store.watch(self.revision()).await?;
            loop {
                match watch.next().await {
                    Some(WatchEvent::Changes { revision, changes }) => self.apply(revision, &changes),
                    Some(WatchEvent::Resync) => break self.read_again(store).await?,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Takes the whole state anew after changes were missed; every stream starts again with a snapshot.
    async fn read_again(&self, store: &dyn Store) -> Result<(), RegistryError> {
        let fresh = read_all(store).await?;
        let mut state = self.write();
        let before = std::mem::replace(&mut *state, fresh);
        // What is out does not come from the store.
        state.crls = before.crls;
        let counter = state.counter();
        self.presence.lose_all(counter);
        self.presence
            .judge_all(|node, key| identity::judge(node, state.nodes.find(node).map(|held| &*held.record), key));
        drop(state);
        self.rules.send_replace(counter);
        self.relationships.send_replace(counter);
        self.progress.send_modify(|progress| progress.counter = counter);
        Ok(())
    }
}

/// Reads every record, a part at a time: what a part took in memory is free for the next. What changed in between comes again by the watch, which starts
/// at the revision of the first part.
async fn read_all(store: &dyn Store) -> Result<State, RegistryError> {
    let mut state = State::empty_at(store.revision().counter);
    for prefix in [
        Prefix::BUNDLES,
        Prefix::ENTRIES,
        Prefix::FEDERATION,
        Prefix::META,
        Prefix::NODES,
        Prefix::REVOCATIONS,
        Prefix::TOKENS,
    ] {
        let mut behind = None;
        loop {
            let part = store.page(prefix, behind).await?;
            let Some(last) = part.items.last() else { break };
            behind = Some(last.key.clone());
            for item in part.items {
                if let Some(change) = RecordChange::read(&item.key, Some(&item.value))? {
                    state.load(item.modified, change);
                }
            }
        }
    }
    Ok(state)
}
