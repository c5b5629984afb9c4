//! Who has seen what the bundle holds.

use trust_domains::Timestamp;
use trust_domains::plan::authority::Missing;

/// Knows which nodes have acknowledged a commit, and so the bundle that was handed out before it.
pub trait BundleWitness: Send + Sync {
    /// Returns the nodes with an unexpired SVID, connected or not, that have not acknowledged this commit or a later one.
    fn missing(&self, counter: u64, now: Timestamp) -> Missing;
}
