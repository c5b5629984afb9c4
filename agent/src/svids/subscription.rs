//! One view of the cache, shared by all who are entitled to the same: 500 streams of one user cost one view.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision, SelectorSet, SpiffeId, Timestamp};

use super::cache::SvidCache;
use super::index::matches;
use super::view::{IdentityView, Unserved};

/// What a view is a view of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ViewKey {
    /// Every entry of this node with this SPIFFE ID.
    Identity(SpiffeId),
    /// Every entry that these proven selectors satisfy.
    Proven(SelectorSet),
}

impl ViewKey {
    /// Returns whether the entry is in the view.
    pub(super) fn admits(&self, entry: &NodeEntry) -> bool {
        match self {
            Self::Identity(spiffe_id) => entry.spiffe_id == *spiffe_id,
            Self::Proven(selectors) => matches(entry, selectors),
        }
    }
}

/// What subscribers of a view see.
#[derive(Debug, Clone)]
pub(super) enum Publication {
    /// SVIDs are being issued; nothing to say yet.
    Pending,
    /// A whole value.
    Served(Arc<IdentityView>),
    /// Nothing, and why.
    Unserved { why: Unserved, shown: Option<Revision> },
}

/// A view with subscribers.
pub(super) struct View {
    /// The entries in it, in the order in which they are served.
    pub(super) entries: BTreeSet<(Timestamp, EntryId)>,
    pub(super) subscribers: usize,
    /// Its membership changed since it was last published.
    pub(super) dirty: bool,
    pub(super) publication: watch::Sender<Publication>,
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeSet::new(),
            subscribers: 0,
            dirty: true,
            publication: watch::Sender::new(Publication::Pending),
        }
    }

    /// Publishes unless subscribers would see no difference. Returns whether they will.
    ///
    /// Pending is put in place of SVIDs that are no longer to be given out: who has them waits for news, and newcomers do not get them.
    pub(super) fn publish(&mut self, next: Publication) -> bool {
        self.dirty = false;
        let same = match (&*self.publication.borrow(), &next) {
            (Publication::Pending, Publication::Pending) => true,
            (Publication::Served(one), Publication::Served(two)) => one.same_contents(two),
            // Gone or never there is one answer; who heard the first must not hear the second as news.
            (Publication::Unserved { why: one, .. }, Publication::Unserved { why: two, .. }) => one == two || (one.is_denied() && two.is_denied()),
            _ => false,
        };
        let news = !same && !matches!(next, Publication::Pending);
        if !same {
            self.publication.send_replace(next);
        }
        news
    }

    /// Returns whether subscribers now see SVIDs.
    pub(super) fn is_serving(&self) -> bool {
        matches!(&*self.publication.borrow(), Publication::Served(_))
    }
}

/// One subscriber's view, as it changes.
pub struct Subscription {
    cache: SvidCache,
    key: ViewKey,
    publication: watch::Receiver<Publication>,
    /// The present value has not been looked at.
    unread: bool,
    shown: Option<Revision>,
}

impl Subscription {
    pub(super) fn new(cache: SvidCache, key: ViewKey, publication: watch::Receiver<Publication>) -> Self {
        Self {
            cache,
            key,
            publication,
            unread: true,
            shown: None,
        }
    }

    /// Returns the present value the first time (waiting only while SVIDs are being issued), then each change of this view, whole.
    ///
    /// After an error the next call waits for the next change too. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Unserved`] when there is nothing to serve, with the reason.
    pub async fn next(&mut self) -> Result<Arc<IdentityView>, Unserved> {
        loop {
            if !std::mem::take(&mut self.unread) && self.publication.changed().await.is_err() {
                // The view lives as long as its subscribers, so this is the end of the cache itself.
                return Err(Unserved::Starting);
            }
            match &*self.publication.borrow_and_update() {
                Publication::Pending => {}
                Publication::Served(view) => {
                    self.shown = Some(view.revision);
                    return Ok(view.clone());
                }
                Publication::Unserved { why, shown } => {
                    self.shown = *shown;
                    return Err(why.clone());
                }
            }
        }
    }

    /// Returns the commit that the last value or error of [`Subscription::next`] shows.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.shown
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cache.release(&self.key);
    }
}
