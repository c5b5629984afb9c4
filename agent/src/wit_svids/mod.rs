//! The WIT-SVIDs of this node's workloads: for each entry that somebody follows a token, bound to a key of its own that is made here.
//!
//! - A token is asked for when the first stream wants it, and shared by all instances of the workload on this machine (WIT-16).
//! - While somebody follows it, it is replaced at half of its life, by the rotation plan, each time with a new key.
//! - When the last stream has ended it is kept for a while, so that whoever comes back finds it; it is not renewed, and ends by itself.
//! - With its entry it goes; one that has ended, or is of an identity that the entry gives no longer, is shown to nobody.
//! - Nothing is written to disk. A token is wiped with its key when the last who holds it is done.
//!
//! What is held is bounded: there is one token for each entry at most, and of those that nobody follows the least recently used go first.

mod batch;
mod cache;
mod followed;
mod held;
mod issuing;
mod private_jwk;
mod slot;
mod state;
mod token;

pub use cache::WitCache;
pub use followed::{Followed, Look};
pub use private_jwk::PrivateJwk;
pub use token::WitSvid;

pub(crate) use issuing::WitIssuing;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
