//! What follows from a copied key: nobody can say who of the two is the node, so neither is.

use trust_domains::SpiffeId;
use trust_domains::problem::{Coded as _, with_causes};

use super::NodeState;
use crate::attestation::NodeRefused;
use crate::decisions::Cause;

/// Records that a node's key was copied, and bans the node; returns what whoever proved the key is told.
pub(super) async fn ban(api: &NodeState, node: SpiffeId, trace_id: &str) -> NodeRefused {
    api.metrics.key_copied();
    tracing::error!(%node, "a key that this node gave up was proved again: it was copied, and the node is banned");
    let cause = Cause {
        actor: "server".to_owned(),
        trace_id: trace_id.to_owned(),
    };
    let mut found = cause.decision("node_key_copied", &node);
    found.reason = Some("a key that the node gave up was proved on a later connection".to_owned());
    api.decisions.record_refusal(found).await;
    if let Err(error) = api.editor.ban(node.as_str(), &cause).await {
        // The next proof by that key tries again; the key itself opens nothing either way.
        tracing::error!(%node, code = %error.code(), error = %with_causes(&error), "the node whose key was copied could not be banned");
    }
    NodeRefused::KeyCopied { node }
}
