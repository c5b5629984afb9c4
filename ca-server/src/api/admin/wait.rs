//! Waiting until the nodes concerned show a commit.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use thiserror::Error;
use tokio::time::timeout;
use trust_domains::node::NodeName;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{AwayNode, WaitOutcome, WaitRequest};
use trust_domains::{Revision, SpiffeId};

use super::{AdminState, Api};
use crate::limits::{LONGEST_WAIT, NODES_PER_WAIT};
use crate::registry::Standing;

/// The longest list of names in a wait: 10,000 IDs of 200 bytes.
const WAIT_BODY: usize = 2 * 1024 * 1024;

/// A wait that cannot end well.
#[derive(Debug, Error)]
pub(super) enum WaitRefused {
    /// The list is too long.
    #[error("{actual} nodes are named, the limit is {limit}")]
    Nodes {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// The revision is none of this store's, now.
    #[error("revision {asked} is not one of this server's; the newest is {newest}")]
    Revision {
        /// What was asked.
        asked: Revision,
        /// The newest commit.
        newest: Revision,
    },
    /// The wait is too long.
    #[error("a wait lasts at most {limit} seconds, not {actual}")]
    Timeout {
        /// The longest, in seconds.
        limit: u64,
        /// What was asked.
        actual: u64,
    },
}

impl Coded for WaitRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

pub(super) async fn wait(State(api): Api, ApiJson(request): ApiJson<WaitRequest, WAIT_BODY>) -> Result<ApiJson<WaitOutcome>, ApiError> {
    check(&api, &request)?;
    let request = WaitRequest {
        nodes: concerned(&api, &request.nodes),
        ..request
    };
    let everyone = async {
        // Subscribed before the first look: nothing that moves in between is missed.
        let mut moved = api.registry.presence().moved();
        while !outcome(&api, &request).missing.is_empty() {
            if moved.changed().await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = timeout(Duration::from_secs(request.timeout_s), everyone) => {}
        () = api.shutdown.cancelled() => {}
    }
    Ok(ApiJson(outcome(&api, &request)))
}

fn check(api: &AdminState, request: &WaitRequest) -> Result<(), WaitRefused> {
    let newest = api.registry.revision();
    if !newest.includes(request.revision) {
        return Err(WaitRefused::Revision {
            asked: request.revision,
            newest,
        });
    }
    if request.nodes.len() > NODES_PER_WAIT {
        return Err(WaitRefused::Nodes {
            limit: NODES_PER_WAIT,
            actual: request.nodes.len(),
        });
    }
    if request.timeout_s > LONGEST_WAIT.as_secs() {
        return Err(WaitRefused::Timeout {
            limit: LONGEST_WAIT.as_secs(),
            actual: request.timeout_s,
        });
    }
    Ok(())
}

/// Nodes are waited for; for an alias those that have it now.
fn concerned(api: &AdminState, named: &[SpiffeId]) -> Vec<SpiffeId> {
    let nodes: BTreeSet<_> = api
        .registry
        .view(|state| named.iter().flat_map(|id| state.aliases.nodes_under(id)).cloned().collect());
    nodes.into_iter().take(NODES_PER_WAIT).collect()
}

fn outcome(api: &AdminState, request: &WaitRequest) -> WaitOutcome {
    let mut outcome = WaitOutcome {
        acknowledged: Vec::new(),
        missing: Vec::new(),
        away: Vec::new(),
    };
    for node in &request.nodes {
        match api.registry.presence().standing(node, request.revision.counter) {
            Standing::Away { since } => outcome.away.push(AwayNode {
                name: name_of(node).map_or_else(|| node.to_string(), |name| name.to_string()),
                since,
            }),
            Standing::Behind => outcome.missing.extend(name_of(node)),
            Standing::Shows => outcome.acknowledged.extend(name_of(node)),
        }
    }
    outcome
}

fn name_of(node: &SpiffeId) -> Option<NodeName> {
    node.as_agent().map(|(_, name)| name)
}
