//! What happens beside the plan: entries change, authorities are tainted, and the server comes back.

use tokio::sync::watch;
use trust_domains::plan::tainted::Tainted;

use crate::svids::SvidCache;
use crate::sync::Link;

/// Acts after each change of this node's entries, also while a batch is under way.
pub(crate) async fn after_each_change(entries: SvidCache, act: impl Fn(&SvidCache)) {
    let mut shown = entries.shown();
    while shown.changed().await.is_ok() {
        shown.borrow_and_update();
        act(&entries);
    }
}

/// Acts whenever the server is back.
pub(crate) async fn whenever_back(mut link: watch::Receiver<Link>, act: impl Fn()) {
    while link.changed().await.is_ok() {
        if link.borrow_and_update().is_open() {
            act();
        }
    }
}

/// Acts after each change of the list of tainted authorities, and once at the beginning: it may have come before.
pub(crate) async fn whenever_tainted(mut tainted: watch::Receiver<Tainted>, act: impl Fn(Tainted)) {
    loop {
        let list = tainted.borrow_and_update().clone();
        act(list);
        if tainted.changed().await.is_err() {
            return;
        }
    }
}
