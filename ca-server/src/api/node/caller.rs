//! Who calls: the connection, and the node it speaks for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use platform::tls::ConnectionInfo;
use platform::trace::{ApiError, TraceContext};
use trust_domains::problem::{Code, Problem};

use super::{NodeState, copied_key};
use crate::api::admission::NodeCall;
use crate::attestation::{Attestation, AuthenticatedNode, NodeRefused};
use crate::decisions::Cause;

/// A request of a node that was authenticated, authorized and counted, with an SVID of an authority in good standing.
pub(super) struct NodeCaller {
    pub(super) node: AuthenticatedNode,
    pub(super) connection: Arc<ConnectionInfo>,
    pub(super) trace_id: String,
    _call: NodeCall,
}

impl NodeCaller {
    pub(super) fn cause(&self) -> Cause {
        Cause {
            actor: self.node.spiffe_id().to_string(),
            trace_id: self.trace_id.clone(),
        }
    }
}

impl FromRequestParts<Arc<NodeState>> for NodeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<NodeState>) -> Result<Self, ApiError> {
        let caller = Self::identify(parts, state, Attestation::authenticate).await?;
        caller.node.refuse_tainted(&state.tainted.borrow())?;
        Ok(caller)
    }
}

/// A request as of a [`NodeCaller`], by a node that may renew its SVID, and leave: its authority may be tainted, or the record be older than it is.
pub(super) struct RenewingCaller(pub(super) NodeCaller);

impl FromRequestParts<Arc<NodeState>> for RenewingCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<NodeState>) -> Result<Self, ApiError> {
        NodeCaller::identify(parts, state, Attestation::authenticate_for_renewal).await.map(Self)
    }
}

type Authenticate = fn(&Attestation, &ConnectionInfo) -> Result<AuthenticatedNode, NodeRefused>;

impl NodeCaller {
    async fn identify(parts: &mut Parts, state: &Arc<NodeState>, authenticate: Authenticate) -> Result<Self, ApiError> {
        let Stranger { connection, trace_id } = Stranger::from_request_parts(parts, state).await?;
        let node = match authenticate(&state.attestation, &connection) {
            Err(NodeRefused::KeyCopied { node }) => return Err(copied_key::ban(state, node, &trace_id).await.into()),
            authenticated => authenticated?,
        };
        let call = state.calls.begin(node.spiffe_id())?;
        if state
            .registry
            .view(|registry| registry.nodes.find(node.spiffe_id()).is_some_and(|held| held.record.is_next(node.key())))
        {
            // The first call with the renewed key: whoever still has the old one is out.
            state.attestation.note_use(&node).await?;
        }
        Ok(Self {
            node,
            connection,
            trace_id,
            _call: call,
        })
    }
}

/// A request of anybody.
pub(super) struct Stranger {
    pub(super) connection: Arc<ConnectionInfo>,
    pub(super) trace_id: String,
}

impl FromRequestParts<Arc<NodeState>> for Stranger {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<NodeState>) -> Result<Self, ApiError> {
        let connection = parts.extensions.get::<Arc<ConnectionInfo>>().cloned();
        let connection = connection.ok_or_else(|| ApiError::new(Problem::new(Code::Internal, "the listener did not say who is connected")))?;
        let trace_id = parts.extensions.get::<TraceContext>().map(TraceContext::trace_id).unwrap_or_default();
        Ok(Self { connection, trace_id })
    }
}
