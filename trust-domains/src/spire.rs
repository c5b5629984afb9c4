//! Registration entries of a SPIRE server, read as drafts of ours: each field, selector and parent that has a counterpart, and by its name what has none.
//!
//! Two documents are read: the one that `spire-server entry create -data` takes (`RegistrationEntries` of SPIRE's common.proto), and the one that
//! `spire-server entry show -output json` prints (`ListEntriesResponse` of its entry API). Nothing is dropped in silence: what could change who gets which
//! identity is refused, and what cannot is remarked on.

mod document;
mod lives;
mod moved;
mod parents;
mod refused;
mod remark;
mod selectors;

pub use document::SpireEntries;
pub use moved::{Move, Moved};
pub use refused::{LeftOut, MoveRefused, NoCounterpart};
pub use remark::{Note, Remark};

#[cfg(test)]
mod tests;
