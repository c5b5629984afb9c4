//! The user PIN of a token, from its file.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::error::Pkcs11Error;
use crate::sealing::KeySourceError;
use crate::sealing::secret_file::{self, Readers};

/// The longest PIN: PKCS#11 tokens name at most 255.
const LONGEST_PIN: usize = 255;

/// A PIN, with what it is known by when the token refuses it.
pub(super) struct Pin {
    pub(super) pin: AuthPin,
    pub(super) hash: PinHash,
}

/// What tells one PIN from another. It is kept only after the token refused that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PinHash([u8; 32]);

impl Pin {
    /// Reads the PIN: a file of one line that only its owner can read.
    pub(super) fn read(path: &Path) -> Result<Self, Pkcs11Error> {
        let refused = |error| Pkcs11Error::PinFile(Box::new(error));
        // Two octets more, for the end of the line.
        let octets = secret_file::read(path, Readers::Owner, LONGEST_PIN + 2).map_err(refused)?;
        let malformed = || refused(KeySourceError::Malformed { path: path.to_owned() });
        let text = std::str::from_utf8(&octets).map_err(|_| malformed())?.trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.len() > LONGEST_PIN {
            return Err(malformed());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        // The boxed copy is the one that is wiped by its own type.
        let copy = Zeroizing::new(text.to_owned());
        Ok(Self {
            pin: AuthPin::new(copy.as_str().into()),
            hash: PinHash(hash),
        })
    }
}
