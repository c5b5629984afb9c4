//! A token that is held, and what it is held and asked for by.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::EntryId;
use trust_domains::plan::rotation::HeldCredential;
use trust_domains::wire::node::NodeEntry;

use super::audience::Audience;
use super::token::JwtSvid;

/// What a token is kept by. A clone is the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey(Arc<(EntryId, Audience)>);

impl TokenKey {
    pub(super) fn new(entry: EntryId, audience: Audience) -> Self {
        Self(Arc::new((entry, audience)))
    }

    pub(super) fn entry(&self) -> &EntryId {
        &self.0.0
    }

    pub(super) fn audience(&self) -> &Audience {
        &self.0.1
    }
}

/// A token with its times.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(super) svid: Arc<JwtSvid>,
    pub(super) times: HeldCredential,
    pub(super) life: Duration,
}

/// One token to be issued.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(super) key: TokenKey,
    pub(super) entry: Arc<NodeEntry>,
}
