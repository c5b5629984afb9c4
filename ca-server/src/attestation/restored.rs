//! A restored trust domain, as its nodes meet it: those that renewed after the backup hold a key that no record names.
//!
//! For one life of a node SVID after the restore such a node may renew with the key that it holds, once, if
//! - its SVID chains to our root and its key was proved, as for every renewal;
//! - its record exists and is not banned;
//! - the SVID ends after the newest one that the record knows: it was issued after the backup;
//! - no revocation list that was handed back names it.
//!
//! From that renewal on the record names its keys again. A node that joined after the backup has no record, and needs a new link.

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;

use crate::seal::{SealError, SealedRecords};
use crate::store::{Key, Write};

/// That this store was restored from a backup, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When.
    pub at: Timestamp,
}

fn place() -> Key {
    Key::meta("restored")
}

impl Restored {
    /// Returns the write that keeps it.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub(crate) fn write(&self, records: &SealedRecords) -> Result<Write, SealError> {
        records.put(place(), self)
    }
}
