//! Sealed records: authenticated, and bound to where they are kept.

use trust_domains::problem::{Code, Coded};
use trust_domains::trust_domain::TrustDomain;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use super::kind::WrappedKey;

/// The version of the sealed form.
const VERSION: u8 = 1;

/// The longest key id: its length is one octet of the sealed form.
const LONGEST_KEY_ID: usize = 255;

/// Seals and opens the records of one store.
///
/// Sealed form: version, length of the key id, key id, nonce, ciphertext with tag. Trust domain, record key, version and key id are associated data:
/// a record that was moved to another key, or comes from another store, does not open.
#[derive(Debug)]
pub struct Sealer {
    scope: String,
    key_id: String,
    key: DataKey,
}

impl Sealer {
    /// Returns a sealer for the records of a trust domain. A key id over 255 bytes is cut.
    #[must_use]
    pub fn new(trust_domain: &TrustDomain, key_id: &str, key: DataKey) -> Self {
        Self::for_scope(trust_domain.as_str(), key_id, key)
    }

    /// Returns a sealer for a scope that is no trust domain: that of an agent which has not joined one yet.
    #[must_use]
    pub fn for_scope(scope: &str, key_id: &str, key: DataKey) -> Self {
        Self {
            scope: scope.to_owned(),
            key_id: key_id.get(..LONGEST_KEY_ID).unwrap_or(key_id).to_owned(),
            key,
        }
    }

    /// Returns which key this sealer uses.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Wraps the key that seals here for a key source: it opens what is sealed already, and no record changes.
    ///
    /// # Errors
    /// The source does not wrap it.
    pub fn wrap_key(&self, source: &dyn KeySource) -> Result<WrappedKey, KeySourceError> {
        source.wrap_key(&self.scope, &self.key)
    }

    /// Seals octets for one record key.
    ///
    /// # Errors
    /// [`UnsealError::Cipher`] when the cipher or the random generator fails.
    pub fn seal(&self, record_key: &str, plaintext: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let sealed = envelope::seal(&self.key, &self.associated(record_key), plaintext).map_err(|_| UnsealError::Cipher)?;
        let id_length = u8::try_from(self.key_id.len()).map_err(|_| UnsealError::Cipher)?;
        Ok([&[VERSION, id_length], self.key_id.as_bytes(), &sealed].concat())
    }

    /// Opens what [`Sealer::seal`] returned for the same record key.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn open(&self, record_key: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let damaged = || UnsealError::NotAuthentic { record: record_key.to_owned() };
        let (version, rest) = sealed.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(UnsealError::UnknownVersion {
                record: record_key.to_owned(),
                version: *version,
            });
        }
        let (length, rest) = rest.split_first().ok_or_else(damaged)?;
        let (key_id, ciphertext) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
        if key_id != self.key_id.as_bytes() {
            let found = String::from_utf8_lossy(key_id).into_owned();
            return Err(UnsealError::OtherKey {
                record: record_key.to_owned(),
                expected: self.key_id.clone(),
                found,
            });
        }
        envelope::open(&self.key, &self.associated(record_key), ciphertext).map_err(|_| damaged())
    }

    fn associated<'a>(&'a self, record_key: &'a str) -> [&'a [u8]; 5] {
        [
            b"troth-record",
            &[VERSION],
            self.scope.as_bytes(),
            record_key.as_bytes(),
            self.key_id.as_bytes(),
        ]
    }
}

/// A record cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The cipher or the random generator failed.
    #[error("the cipher failed")]
    Cipher,
    /// The record is damaged, was moved, or is from another store.
    #[error("the sealed record {record} is damaged, was moved, or is from another store")]
    NotAuthentic {
        /// The key it is stored under.
        record: String,
    },
    /// The record was sealed under another data key.
    #[error("the sealed record {record} needs the data key {found:?}, not {expected:?}")]
    OtherKey {
        /// The key it is stored under.
        record: String,
        /// The data key that is open.
        expected: String,
        /// The data key that the record names.
        found: String,
    },
    /// A newer version wrote the record.
    #[error("the sealed record {record} has format version {version}; this program knows 1")]
    UnknownVersion {
        /// The key it is stored under.
        record: String,
        /// The version it names.
        version: u8,
    },
}

impl Coded for UnsealError {
    fn code(&self) -> Code {
        match self {
            Self::Cipher => Code::Internal,
            Self::NotAuthentic { .. } | Self::OtherKey { .. } => Code::KeySourceUnavailable,
            Self::UnknownVersion { .. } => Code::StoreFormatUnknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealer(trust_domain: &str, key_id: &str, key: u8) -> Sealer {
        Sealer::new(&trust_domain.parse().unwrap(), key_id, DataKey::from_slice(&[key; 32]).unwrap())
    }

    #[test]
    fn a_record_opens_where_it_was_sealed() {
        let sealer = sealer("prod.example", "k1", 1);
        let sealed = sealer.seal("authority/1", b"secret").unwrap();
        assert_eq!(&*sealer.open("authority/1", &sealed).unwrap(), b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(sealed, sealer.seal("authority/1", b"secret").unwrap(), "the nonce is random");
    }

    #[test]
    fn a_record_does_not_open_anywhere_else() {
        let home = sealer("prod.example", "k1", 1);
        let sealed = home.seal("authority/1", b"secret").unwrap();
        let moved = |record: &str| UnsealError::NotAuthentic { record: record.to_owned() };
        assert_eq!(home.open("authority/2", &sealed).unwrap_err(), moved("authority/2"));
        assert_eq!(sealer("test.example", "k1", 1).open("authority/1", &sealed).unwrap_err(), moved("authority/1"));
        assert_eq!(sealer("prod.example", "k1", 2).open("authority/1", &sealed).unwrap_err(), moved("authority/1"));
        assert!(matches!(
            sealer("prod.example", "k2", 1).open("authority/1", &sealed),
            Err(UnsealError::OtherKey { .. })
        ));
    }

    #[test]
    fn a_record_of_a_newer_version_is_told_apart_from_a_damaged_one() {
        let sealer = sealer("prod.example", "k1", 1);
        let mut sealed = sealer.seal("r", b"secret").unwrap();
        sealed[0] = 2;
        assert_eq!(sealer.open("r", &sealed).unwrap_err().code(), Code::StoreFormatUnknown);
    }

    proptest! {
        #[test]
        fn garbage_never_opens_and_never_panics(garbage: Vec<u8>, cut in 0_usize..64) {
            let sealer = sealer("prod.example", "k1", 1);
            prop_assert!(sealer.open("r", &garbage).is_err());
            let sealed = sealer.seal("r", b"secret").unwrap();
            let shorter = &sealed[..cut.min(sealed.len() - 1)];
            prop_assert!(sealer.open("r", shorter).is_err());
        }
    }
}
