//! Sets of files that replace each other whole, in a directory that others may read.
//!
//! ```text
//! DIR/                              a real directory; neither it nor its parents can be written by others
//! DIR/..data -> ..generation-N      replaced by one rename: the whole set changes at once
//! DIR/..generation-N/               written and synced before the link leads to it
//!     svid.pem  svid_key.pem  bundle.pem
//! DIR/svid.pem -> ..data/svid.pem   and so on: a link stays for as long as there is such a file
//! ```
//!
//! A reader of one file opens it by its name. A reader of several opens the directory `DIR/..data` once and reads them in it: then key and
//! certificate always belong together. The generation before the current one stays until the next change, for readers that are in it.
//! Owner, group and modes are set on each generation, so whatever happened to the last one is undone. What a crash left behind is found by
//! its exact name, links of an earlier set by where they lead, and removed; nothing else in the directory is touched.

mod directory;
mod error;
mod generation;
mod ownership;

pub use directory::Directory;
pub use error::FileSetError;
pub use generation::{publish, recover, withdraw};
pub use ownership::{KeyMode, Ownership, ParseKeyModeError};
