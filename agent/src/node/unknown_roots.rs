//! A server whose roots this node does not know: they were replaced while it was off, or whoever answers is not the server.
//!
//! What the node joins by can tell the two apart, and nothing else can:
//!
//! - The server at the sealed address must prove itself by the pins of the link (or the roots that were given with a certificate): its chain and its ID, in this
//!   node's own trust domain. The connection is closed again; nothing was sent, and no certificate was shown.
//! - Then the node joins by the link, as if it had none but that. Of the identity before nothing is sent: it counts for nothing under the new roots.
//! - Otherwise everything stays as it is, what is held is served until it ends, and the node says what would help.
//! - A ban is not overridden: the server admits a banned node by no link.

use tokio_util::sync::CancellationToken;
use trust_domains::TrustDomain;
use trust_domains::bundle::TrustBundle;
use trust_domains::problem::with_causes;

use super::bootstrap::{JoinError, open_by_pins};
use super::client::ServerClient;
use super::ended::name;
use super::identity::{CurrentIdentity, NodeIdentity};
use super::membership::{FIRST_WAIT, HEALTH_KEY, LONGEST_WAIT, Membership, after_a_while};
use crate::sync::{Backoff, jitter};

/// Nothing vouches for the server's new roots.
#[derive(Debug, thiserror::Error)]
enum NotVouchedFor {
    /// There is neither link nor certificate.
    #[error("this node was given no join link that knows them")]
    NoLink,
    /// The link is of another trust domain.
    #[error("what this node joins by is of the trust domain {offered}, the node is of {own}")]
    OtherDomain {
        /// The node's own.
        own: TrustDomain,
        /// That of the link.
        offered: TrustDomain,
    },
    /// The server does not prove itself by the link's pins either.
    #[error("the server does not prove itself by what this node joins by either")]
    Unproven(#[source] JoinError),
}

impl Membership {
    /// Waits until the server proves itself by roots that this node does not know and that what it joins by does.
    pub(super) async fn vouched_for(&self, client: &ServerClient) {
        let (mut unknown, identity) = (client.unknown_roots(), client.identity());
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            if unknown.wait_for(|unknown| *unknown).await.is_err() {
                return std::future::pending().await;
            }
            let identity = identity.borrow().clone();
            match self.vouch(&identity).await {
                Ok(()) => return,
                Err(why) => self.tell_unknown(&identity, &why),
            }
            tokio::time::sleep(backoff.next(jitter())).await;
        }
    }

    async fn vouch(&self, identity: &NodeIdentity) -> Result<(), NotVouchedFor> {
        let admission = self.link.as_ref().ok_or(NotVouchedFor::NoLink)?;
        let own = identity.trust_domain();
        if *admission.trust_domain() != own {
            return Err(NotVouchedFor::OtherDomain {
                own,
                offered: admission.trust_domain().clone(),
            });
        }
        let proved = open_by_pins(admission, &identity.server, &self.clock).await;
        proved.map(drop).map_err(NotVouchedFor::Unproven)
    }

    /// Says it once, for as long as it is the same.
    fn tell_unknown(&self, identity: &NodeIdentity, why: &NotVouchedFor) {
        let (server, spiffe_id, reason) = (&identity.server, &identity.spiffe_id, with_causes(why));
        let hint = hint(identity);
        let text = format!("{server} proves itself by roots that this node, {spiffe_id}, does not know: {reason}; {hint}");
        if self.health.set_problem(HEALTH_KEY, text) {
            tracing::error!(%server, %spiffe_id, reason, hint, "the server proves itself by roots that this node does not know; what is held is served until it ends");
        }
    }

    /// Joins by what vouches for the new roots, or goes on with the same after a while. `None` when stopped meanwhile.
    pub(super) async fn join_under_new_roots(
        &mut self,
        (identity, bundle): (CurrentIdentity, TrustBundle),
        stop: &CancellationToken,
    ) -> Option<(CurrentIdentity, TrustBundle)> {
        tracing::warn!(
            server = %identity.server,
            spiffe_id = %identity.spiffe_id,
            "the server has roots that this node does not know, and what it joins by vouches for them: the roots were replaced while it was away; it joins anew"
        );
        match self.join_again(&identity).await {
            Some(next) => Some(next),
            None => after_a_while((identity, bundle), stop).await,
        }
    }
}

/// What an operator does about it.
fn hint(identity: &NodeIdentity) -> String {
    let name = name(&identity.spiffe_id);
    format!("if the roots were replaced while this node was away, on the server: troth token create --node-id {name}; then here troth agent run --join LINK")
}
