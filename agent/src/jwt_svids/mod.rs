//! The JWT-SVIDs that workloads ask for: a token for each pair of entry and audience, kept in memory while it is used.
//!
//! - A token is asked for once, however many callers want it at the same time.
//! - One that was used is replaced at half of its life, by the rotation plan; one that nobody asked for again ends and is forgotten.
//! - A caller gets the token that is held, at once, unless it is past its renewal and the server is there: then a fresh one, if that comes soon.
//! - What is held is bounded in number and octets, for each entry and in all; the least recently used go first.
//! - With its entry, or a change of it, a token goes too. Tokens are cheap: none is written to disk, and each is wiped when it is dropped.

mod audience;
mod batch;
mod bounds;
mod cache;
mod held;
mod issuing;
mod slot;
mod state;
mod taint;
mod token;
mod uses;

pub use audience::Audience;
pub use cache::JwtCache;
pub use token::{JwtSvid, Unobtained};

pub(crate) use issuing::JwtIssuing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
