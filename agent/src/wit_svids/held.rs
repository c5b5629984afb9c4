//! A WIT-SVID that is held, and what one is asked for by.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::Revision;
use trust_domains::plan::rotation::HeldCredential;
use trust_domains::wire::node::NodeEntry;

use super::token::WitSvid;

/// A token with its times.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(super) svid: Arc<WitSvid>,
    /// The commit of the entry that it shows.
    pub(super) entry_revision: Revision,
    pub(super) times: HeldCredential,
    pub(super) life: Duration,
}

/// One token to be issued.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(super) entry: Arc<NodeEntry>,
    /// The slot that it is for: an entry that went and came back has another.
    pub(super) slot: u64,
}
