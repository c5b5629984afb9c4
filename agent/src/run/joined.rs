//! What waits for the node to join.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::TrustDomain;

use crate::node::CurrentIdentity;

/// Waits until it is known which trust domain this is; `None` when the agent ends before.
pub(super) async fn joined(identity: &mut watch::Receiver<Option<CurrentIdentity>>, ending: &CancellationToken) -> Option<TrustDomain> {
    tokio::select! {
        // An agent whose node is refused at its start still withdraws what an earlier run delivered.
        biased;
        known = identity.wait_for(Option::is_some) => known.ok()?.as_ref().map(|identity| identity.trust_domain()),
        () = ending.cancelled() => None,
    }
}
