//! One follower's view of one WIT-SVID, as it changes.

use std::sync::Arc;

use tokio::sync::watch;
use trust_domains::EntryId;

use super::cache::WitCache;
use super::token::WitSvid;

/// What a follower sees now.
#[derive(Debug, Clone)]
pub enum Look {
    /// A token is being issued.
    Coming,
    /// There is none, and why.
    Nothing(String),
    /// A valid token.
    Served(Arc<WitSvid>),
}

/// The token of one entry, for as long as this is held.
pub struct Followed {
    cache: WitCache,
    entry: EntryId,
    slot: u64,
    bell: watch::Receiver<()>,
    /// The entry went: nothing changes any more.
    gone: bool,
}

impl Followed {
    pub(super) fn new(cache: WitCache, entry: EntryId, slot: u64, bell: watch::Receiver<()>) -> Self {
        Self {
            cache,
            entry,
            slot,
            bell,
            gone: false,
        }
    }

    /// Returns the entry whose token is followed.
    #[must_use]
    pub fn entry(&self) -> &EntryId {
        &self.entry
    }

    /// Returns whether the entry went: if it is there again, its token is another, to be followed anew.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Returns what there is now: never a token that has ended.
    #[must_use]
    pub fn look(&self) -> Look {
        self.cache.look(&self.entry, self.slot)
    }

    /// Waits until there may be something else to see. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        if self.gone {
            return std::future::pending().await;
        }
        // With its entry the slot goes: that is told once.
        self.gone = self.bell.changed().await.is_err();
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.cache.leave(&self.entry, self.slot);
    }
}
