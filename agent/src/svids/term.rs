//! How long this node is vouched for: what it serves ends with its own SVID at the latest.
//!
//! An agent whose SVID has ended speaks for nobody any more until its server renews it, however long the SVIDs of its workloads would last. That holds for an agent that
//! runs and for one that began again with its sealed cache: a restart changes nothing.

use std::time::Duration;

use trust_domains::Timestamp;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::HeldCredential;

/// The term of the node, as the cache sees it.
#[derive(Debug, Default)]
pub(super) struct Term {
    /// The times of the node's SVID; `None` where nobody told.
    svid: Option<HeldCredential>,
    /// What was published last.
    shown_as_ended: bool,
}

impl Term {
    /// Takes the times of a new SVID of the node.
    pub(super) fn begin(&mut self, svid: HeldCredential) {
        self.svid = Some(svid);
    }

    /// Returns when it ended, if it has.
    pub(super) fn ended(&self, now: Reading) -> Option<Timestamp> {
        self.svid.filter(|svid| svid.has_ended(now)).map(|svid| svid.not_after())
    }

    /// Returns whether that is another than was published last, and takes it as published.
    pub(super) fn turned(&mut self, now: Reading) -> bool {
        let has_ended = self.ended(now).is_some();
        std::mem::replace(&mut self.shown_as_ended, has_ended) != has_ended
    }

    /// Returns the time since boot at which it ends, if that is still to come.
    pub(super) fn ends_at(&self, now: Reading) -> Option<Duration> {
        self.svid.filter(|svid| !svid.has_ended(now)).map(|svid| svid.ends_at())
    }
}
