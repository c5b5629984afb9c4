//! The newest renewal of each node: an older one that is still at work, or only now arrives, takes nothing from it.
//!
//! In memory only: no request outlives the process that reads it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trust_domains::SpiffeId;
use trust_domains::node::Turn;

/// How long a turn is remembered: far longer than TCP tries to bring an octet of a request that its sender has given up (15 minutes with Linux's defaults).
const KEPT: Duration = Duration::from_secs(3_600);

/// The newest turns.
#[derive(Debug, Default)]
pub struct Turns(Mutex<Newest>);

#[derive(Debug, Default)]
struct Newest {
    arrived: u64,
    nodes: HashMap<SpiffeId, Begun>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    turn: Turn,
    at: Duration,
}

impl Turns {
    /// Notes that a renewal begins, on a connection accepted then; returns its turn. Both moments are since boot.
    pub fn begin(&self, node: &SpiffeId, accepted_at: Duration, now: Duration) -> Turn {
        let mut newest = self.newest();
        newest.nodes.retain(|_, begun| now.saturating_sub(begun.at) < KEPT);
        newest.arrived += 1;
        let turn = Turn::new(accepted_at, newest.arrived);
        if newest.nodes.get(node).is_none_or(|begun| begun.turn < turn) {
            newest.nodes.insert(node.clone(), Begun { turn, at: now });
        }
        turn
    }

    /// Says whether a newer renewal of the node has begun.
    #[must_use]
    pub fn is_overtaken(&self, node: &SpiffeId, turn: Turn) -> bool {
        self.newest().nodes.get(node).is_some_and(|begun| turn < begun.turn)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> SpiffeId {
        format!("spiffe://td/troth/agent/join_token/{name}").parse().unwrap()
    }

    #[test]
    fn a_renewal_at_work_and_one_that_comes_late_are_overtaken_and_other_nodes_are_not() {
        let turns = Turns::default();
        let at = Duration::from_secs;
        let at_work = turns.begin(&node("a"), at(10), at(20));
        assert!(!turns.is_overtaken(&node("a"), at_work));
        let answered = turns.begin(&node("a"), at(25), at(30));
        let late = turns.begin(&node("a"), at(10), at(31));
        let other = turns.begin(&node("b"), at(1), at(32));
        let overtaken = |name, turn| turns.is_overtaken(&node(name), turn);
        assert!(overtaken("a", at_work) && overtaken("a", late));
        assert!(!overtaken("a", answered) && !overtaken("b", other));
    }

    #[test]
    fn what_began_long_ago_is_forgotten() {
        let turns = Turns::default();
        let at = Duration::from_secs;
        let _ = turns.begin(&node("a"), at(10), at(20));
        let _ = turns.begin(&node("b"), at(10), at(20) + KEPT);
        assert_eq!(turns.newest().nodes.len(), 1);
    }
}
