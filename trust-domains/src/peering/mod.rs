//! Who may be at the other end of a connection between workloads, and until when.
//!
//! [`PeerTrust`] is what is believed at one moment: the bundle of each trust domain, never pooled, and the revocation lists. [`AllowList`] says which of those who
//! are proved to be someone are wanted. [`endings`] says which open connections a new [`PeerTrust`] ends: exactly those that it would not open.

mod allow_list;
mod open;
mod pattern;
mod revoked;
mod trust;

pub use allow_list::AllowList;
pub use open::{EndReason, OpenPeer, endings};
pub use pattern::{ParsePeerPatternError, PeerPattern};
pub use trust::{PeerRefused, PeerTrust};
