//! Who has seen what the bundle holds.

use trust_domains::Timestamp;
use trust_domains::plan::authority::{AuthorityId, Missing};

/// Knows which nodes have acknowledged a commit, and so the bundle that was handed out before it.
pub trait BundleWitness: Send + Sync {
    /// Returns how many nodes have an unexpired SVID, connected or not.
    fn concerned(&self, now: Timestamp) -> usize;

    /// Returns the nodes with an unexpired SVID, connected or not, that have not acknowledged this commit or a later one: those that a planned change
    /// waits for.
    fn missing(&self, counter: u64, now: Timestamp) -> Missing;

    /// Returns those of them that are connected: an emergency waits for no others. A frozen agent is connected until its stream ends.
    fn missing_connected(&self, counter: u64, now: Timestamp) -> Missing;

    /// Returns the commit with which the first revocation list of a CA went out; none before. It is asked only where lists are in use.
    fn list_out_since(&self, ca: &AuthorityId) -> Option<u64>;
}
