//! How much is done at once: more is refused at the door, before a body is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use platform::trace::ApiError;
use thiserror::Error;
use tokio::sync::Semaphore;
use trust_domains::SpiffeId;
use trust_domains::problem::{Code, Coded};

/// There is no room for a call.
#[derive(Debug, Clone, Error)]
pub(super) enum NoRoom {
    /// The process does as much as it may at once.
    #[error("{limit} calls of this kind are being answered already")]
    Calls {
        /// The most at once.
        limit: usize,
    },
    /// One node asks for too much at once.
    #[error("{limit} calls of {node} are being answered already")]
    OfNode {
        /// The node.
        node: SpiffeId,
        /// The most at once.
        limit: usize,
    },
}

impl Coded for NoRoom {
    fn code(&self) -> Code {
        match self {
            Self::Calls { .. } => Code::Overloaded,
            Self::OfNode { .. } => Code::TooManyRequests,
        }
    }
}

/// A door that lets so many calls in at once. A call is over when its answer begins: streams do not count.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    limit: usize,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }
}

/// Lets a request in, or refuses it.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            let refusal = ApiError::from(NoRoom::Calls { limit: gate.limit });
            refusal.into_response()
        }
    }
}

/// Counts the calls of each node.
#[derive(Debug)]
pub(super) struct NodeCalls {
    counts: Mutex<HashMap<SpiffeId, usize>>,
    limit: usize,
}

/// One call of a node, until it is dropped.
#[derive(Debug)]
pub(super) struct NodeCall {
    calls: Arc<NodeCalls>,
    node: SpiffeId,
}

impl NodeCalls {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            limit,
        })
    }

    pub(super) fn begin(self: &Arc<Self>, node: &SpiffeId) -> Result<NodeCall, NoRoom> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(node.clone()).or_default();
        if *count >= self.limit {
            return Err(NoRoom::OfNode {
                node: node.clone(),
                limit: self.limit,
            });
        }
        *count += 1;
        Ok(NodeCall {
            calls: Arc::clone(self),
            node: node.clone(),
        })
    }
}

impl Drop for NodeCall {
    fn drop(&mut self) {
        let mut counts = self.calls.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_cannot_take_the_calls_of_another() {
        let calls = NodeCalls::new(2);
        let [one, other] = ["a", "b"].map(|name| format!("spiffe://example.org/troth/agent/join_token/{name}").parse::<SpiffeId>().unwrap());
        let held = [calls.begin(&one).unwrap(), calls.begin(&one).unwrap()];
        assert_eq!(calls.begin(&one).unwrap_err().code(), Code::TooManyRequests);
        assert!(calls.begin(&other).is_ok());
        drop(held);
        assert!(calls.begin(&one).is_ok());
        assert!(calls.counts.lock().unwrap().is_empty(), "nodes are forgotten");
    }
}
