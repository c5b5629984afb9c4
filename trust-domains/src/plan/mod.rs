//! Plans: what is due, decided by pure functions over (now, state, policy). The loops that perform them are elsewhere.

pub mod authority;
pub mod clock_evidence;
pub mod fetching;
pub mod reloading;
pub mod restart;
pub mod rotation;
pub mod supervising;
pub mod tainted;
pub mod upstream;
pub mod validity;
pub mod waking;
