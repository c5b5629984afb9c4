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
//!
//! For programs that follow no links there is [`Layout::SingleFiles`]: `DIR/svid.pem` is a file itself. All files of the next set are written and synced
//! under other names first (`..next~N`); then each is renamed over the one before, in the order of the set, which has a key after its certificates. A reader
//! never sees half a file. One that reads several in those few system calls may see some of the set before and some of the next: a new certificate with
//! the old key, and a kill in the middle leaves that until the next start. Which files are ours is written in `..files` before the first of them appears.
//!
//! The rooms: [`Directory`] is opened step by step and locked; `generation` and `single_files` are the two layouts; [`deliver`] compares what is there
//! first, and sets owner, group and modes again where only those were changed. What a crash left behind is found by its exact name, links of an earlier
//! set by where they lead, and removed; nothing else in the directory is touched.

mod deliver;
mod directory;
mod error;
mod generation;
mod layout;
mod manifest;
mod ownership;
#[cfg(test)]
mod real_readers;
mod set_folder;
mod single_files;
#[cfg(test)]
mod testing;

pub use deliver::{Delivery, deliver, read, recover, withdraw};
pub use directory::Directory;
pub use error::FileSetError;
pub use layout::{Layout, ParseLayoutError};
pub use ownership::{KeyMode, Ownership, ParseKeyModeError};
