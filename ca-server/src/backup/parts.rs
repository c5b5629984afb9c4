//! The sealed parts: each is bound to the header, to its place, and to being the last one or not.

use aws_lc_rs::digest::{SHA256, digest};
use platform::sealing::{DataKey, Sealer, UnsealError};
use zeroize::Zeroizing;

use crate::store::Commit;

/// The octets after which a part is closed.
pub(super) const PART: usize = 1024 * 1024;

/// The longest sealed part: a part that was almost full, and the longest record.
pub(super) const LONGEST_PART: usize = PART + Commit::MAX_OCTETS + 1024;

/// What the key of the parts is called inside their seal.
const KEY_ID: &str = "backup";

/// Seals or opens the parts of one backup, in their order.
pub(super) struct Parts {
    sealer: Sealer,
    next: u64,
}

impl Parts {
    /// Starts with the first part behind this header.
    pub(super) fn behind(header: &[u8], key: DataKey) -> Self {
        let scope = format!("backup/{}", hex::encode(digest(&SHA256, header)));
        Self {
            sealer: Sealer::for_scope(&scope, KEY_ID, key),
            next: 0,
        }
    }

    /// Seals the next part.
    pub(super) fn seal(&mut self, part: &[u8], is_last: bool) -> Result<Vec<u8>, UnsealError> {
        let place = self.place(is_last);
        self.sealer.seal(&place, part)
    }

    /// Opens the next part. One that is taken for the last and is not was cut off behind.
    pub(super) fn open(&mut self, sealed: &[u8], is_last: bool) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let place = self.place(is_last);
        self.sealer.open(&place, sealed)
    }

    fn place(&mut self, is_last: bool) -> String {
        let place = format!("{}/{}", self.next, if is_last { "last" } else { "more" });
        self.next += 1;
        place
    }
}
