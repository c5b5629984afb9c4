//! Acknowledgements: the server hears what this node shows, so that a writer can wait for it.

use std::time::Duration;

use trust_domains::Revision;
use trust_domains::problem::with_causes;
use trust_domains::wire::node::Ack;

use crate::node::ServerClient;
use crate::svids::SvidCache;

/// How often to look whether a sink that does not deliver has been waited for long enough.
const REVIEW: Duration = Duration::from_secs(5);

/// How long to wait before an acknowledgement that failed is sent again; it is no later than the newest by then.
const SEND_AGAIN: Duration = Duration::from_secs(1);

/// Acknowledges what the cache shows for as long as a stream is open. A new stream starts over: its server may be another.
pub(super) async fn acknowledge(client: ServerClient, cache: SvidCache) {
    let mut settled = cache.acknowledgeable();
    let mut told: Option<Revision> = None;
    loop {
        let revision = *settled.borrow_and_update();
        if let Some(revision) = revision.filter(|revision| told.is_none_or(|told| revision.is_after(told) || revision.epoch != told.epoch)) {
            match client.post::<()>("/v1/node/ack", &Ack { revision }).await {
                Ok(()) => told = Some(revision),
                Err(error) => {
                    tracing::debug!(%revision, error = %with_causes(&error), "an acknowledgement was not sent");
                    tokio::time::sleep(SEND_AGAIN).await;
                    continue;
                }
            }
        }
        tokio::select! {
            changed = settled.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(REVIEW) => cache.review_acknowledgement(),
        }
    }
}
