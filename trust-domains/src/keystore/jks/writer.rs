//! The numbers and texts of a JKS file, as Java's `DataOutputStream` writes them, and the hash at its end.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use zeroize::Zeroizing;

use crate::keystore::{KeyStoreError, password};
use crate::timestamp::Timestamp;

/// What Sun put between the password and the file, so that the hash is that of no other use of it.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// Java's numbers are signed.
const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

/// A file in the making.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    pub(super) fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// How many there are of something.
    pub(super) fn count(&mut self, count: usize) -> Result<(), KeyStoreError> {
        let number = u32::try_from(count).ok().filter(|number| *number <= MAX_COUNT);
        self.number(number.ok_or(KeyStoreError::TooLarge {
            limit: usize::try_from(MAX_COUNT).unwrap_or(usize::MAX),
            actual: count,
        })?);
        Ok(())
    }

    /// Octets, with how many they are.
    pub(super) fn block(&mut self, octets: &[u8]) -> Result<(), KeyStoreError> {
        self.count(octets.len())?;
        self.0.extend_from_slice(octets);
        Ok(())
    }

    /// A text, of which modified UTF-8 is UTF-8 (`alias::check`).
    pub(super) fn text(&mut self, text: &str) -> Result<(), KeyStoreError> {
        let length = u16::try_from(text.len()).map_err(|_| KeyStoreError::TooLarge {
            limit: usize::from(u16::MAX),
            actual: text.len(),
        })?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// A date, since 1970.
    pub(super) fn milliseconds(&mut self, at: Timestamp) {
        self.0.extend_from_slice(&at.unix().saturating_mul(1_000).to_be_bytes());
    }

    /// Ends the file with the hash of the password and all before.
    pub(super) fn finish(mut self, password: &str) -> Zeroizing<Vec<u8>> {
        let digest = sha1(&[&password::utf16(password), WHITENER, &self.0]);
        self.0.extend_from_slice(digest.as_slice());
        self.0
    }
}

/// SHA-1: what the format is made of, and used for nothing else in Troth.
pub(super) fn sha1(parts: &[&[u8]]) -> Zeroizing<[u8; SHA1_OUTPUT_LEN]> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut hash = Zeroizing::new([0; SHA1_OUTPUT_LEN]);
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
