//! Who calls: the local operator, by the kernel's word.

use axum::extract::FromRequestParts;
use http::request::Parts;
use platform::sockets::PeerCredentials;
use platform::trace::{ApiError, TraceContext};
use trust_domains::problem::{Code, Problem};

use crate::decisions::Cause;

/// The operator on this machine, with the request's trace.
pub(super) struct Operator(pub(super) Cause);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<PeerCredentials>();
        let peer = peer.ok_or_else(|| ApiError::new(Problem::new(Code::Unauthorized, "the listener did not say who is connected")))?;
        let trace_id = parts.extensions.get::<TraceContext>().map(TraceContext::trace_id).unwrap_or_default();
        Ok(Self(Cause {
            actor: format!("local:uid:{}", peer.uid),
            trace_id,
        }))
    }
}
