//! A WIT-SVID that is held, and what one is asked for by.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::Revision;
use trust_domains::plan::rotation::HeldCredential;
use trust_domains::plan::tainted::Tainted;
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

impl Held {
    /// Returns whether one of these authorities signed it.
    pub(super) fn is_signed_by(&self, tainted: &Tainted) -> bool {
        tainted.signed_token(self.svid.token.as_str())
    }
}

/// One token to be issued.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(super) entry: Arc<NodeEntry>,
    /// The slot that it is for: an entry that went and came back has another.
    pub(super) slot: u64,
}
