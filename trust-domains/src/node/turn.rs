//! Which of two renewals of a node is the newer one.

use std::time::Duration;

/// The place of a renewal among those of its node, at one process of the server: a later one is greater.
///
/// An agent asks for one renewal at a time, on its newest connection. A request that it has given up may still be on its way, or at work in the server, when
/// the next one is answered. Were it committed then, the key that the node has just sealed would no longer be its own. So a renewal is refused once a greater
/// one has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    // The order of the fields is the order of turns.
    accepted_at: Duration,
    arrived: u64,
}

impl Turn {
    /// Returns the turn of a request by when its connection was accepted, since boot, and its number among all that arrived. Requests of one connection
    /// arrive as they were sent.
    #[must_use]
    pub fn new(accepted_at: Duration, arrived: u64) -> Self {
        Self { accepted_at, arrived }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_counts_first_and_then_the_arrival() {
        let turn = |accepted, arrived| Turn::new(Duration::from_secs(accepted), arrived);
        assert!(turn(1, 9) < turn(2, 1), "it came late, on an old connection");
        assert!(turn(2, 1) < turn(2, 2));
    }
}
