//! A join token as the store keeps it: its hash, sealed, and the key that used it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use platform::sealing::{Sealer, UnsealError};
use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::join_link::JoinToken;
use trust_domains::node::NodeName;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::KeyHash;

use super::error::TokenError;
use crate::registry::records;
use crate::store::{Key, RecordName};

/// Names a token in lists, in the journal and in the store. It is no secret: 64 bits of a hash of the 256 random ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(RecordName);

impl TokenId {
    /// Returns the id of a token. It is derived, so that a presented token is found without opening every record, and from another hash than the one that is
    /// compared afterwards.
    #[must_use]
    #[expect(clippy::expect_used, reason = "sixteen hex digits are a record name")]
    pub fn of(token: &JoinToken) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"troth-token-id");
        context.update(token.expose().as_bytes());
        let hash = context.finish();
        let short = hex::encode(hash.as_ref().get(..8).unwrap_or_default());
        Self(RecordName::new(&short).expect("hex digits"))
    }

    /// Reads an id that an operator wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        RecordName::new(text).ok().map(Self)
    }

    pub(super) const fn of_record(name: RecordName) -> Self {
        Self(name)
    }

    pub(super) const fn name(&self) -> &RecordName {
        &self.0
    }

    pub(super) fn key(&self) -> Key {
        Key::token(&self.0)
    }
}

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is stored of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    hash: StoredHash,
    /// The name that the node will have.
    pub(super) node: NodeName,
    /// When the token ends.
    pub(super) expires_at: Timestamp,
    /// The first key that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound_to: Option<KeyHash>,
}

/// What a token is worth to a key that presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The key is the first.
    First,
    /// The key used it before: its answer was lost.
    Again,
}

impl TokenRecord {
    pub(super) fn new(token: &JoinToken, node: NodeName, expires_at: Timestamp) -> Self {
        Self {
            hash: StoredHash(token.hash()),
            node,
            expires_at,
            bound_to: None,
        }
    }

    /// Judges a presented token and the key that comes with it.
    pub(super) fn admit(&self, token: &JoinToken, key: &KeyHash, now: Timestamp) -> Result<Admission, TokenError> {
        if verify_slices_are_equal(&self.hash.0, &token.hash()).is_err() {
            return Err(TokenError::Unknown);
        }
        if now >= self.expires_at {
            return Err(TokenError::Expired { ended_at: self.expires_at });
        }
        match &self.bound_to {
            None => Ok(Admission::First),
            Some(bound) if bound == key => Ok(Admission::Again),
            Some(_) => Err(TokenError::Used),
        }
    }

    pub(super) fn bound_to(self, key: KeyHash) -> Self {
        Self { bound_to: Some(key), ..self }
    }

    pub(super) const fn is_used(&self) -> bool {
        self.bound_to.is_some()
    }

    pub(super) fn seal(&self, sealer: &Sealer, id: &TokenId) -> Result<Vec<u8>, SealedTokenError> {
        let key = id.key();
        Ok(sealer.seal(key.as_str(), &records::encode(&key, self)?)?)
    }

    pub(super) fn open(sealer: &Sealer, id: &TokenId, sealed: &[u8]) -> Result<Self, SealedTokenError> {
        let key = id.key();
        Ok(records::decode(&key, &sealer.open(key.as_str(), sealed)?)?)
    }
}

/// A stored token cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealedTokenError {
    /// What was opened is not a token's record.
    #[error(transparent)]
    Record(#[from] records::RecordError),
    /// The record does not open.
    #[error(transparent)]
    Seal(#[from] UnsealError),
}

impl Coded for SealedTokenError {
    fn code(&self) -> Code {
        match self {
            Self::Record(error) => error.code(),
            Self::Seal(error) => error.code(),
        }
    }
}

/// The hash of a token's text. Not shown: whoever has it and the sealing key still has no token, and no log needs it.
#[derive(Clone, PartialEq, Eq)]
struct StoredHash([u8; 32]);

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredHash(..)")
    }
}

impl Serialize for StoredHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for StoredHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut hash).map_err(serde::de::Error::custom)?;
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use platform::sealing::DataKey;

    use super::*;

    fn token(number: u8) -> JoinToken {
        JoinToken::from_random([number; 32])
    }

    fn record() -> TokenRecord {
        TokenRecord::new(&token(1), "a".parse().unwrap(), Timestamp::from_unix(100))
    }

    #[test]
    fn a_token_admits_its_first_key_until_it_ends() {
        let (first, second) = (KeyHash::of_spki(b"first"), KeyHash::of_spki(b"second"));
        let now = Timestamp::from_unix(99);
        assert_eq!(record().admit(&token(1), &first, now), Ok(Admission::First));
        assert_eq!(record().admit(&token(2), &first, now), Err(TokenError::Unknown));
        let bound = record().bound_to(first);
        assert_eq!(bound.admit(&token(1), &first, now), Ok(Admission::Again));
        assert_eq!(bound.admit(&token(1), &second, now), Err(TokenError::Used));
        let late = Timestamp::from_unix(100);
        assert_eq!(bound.admit(&token(1), &first, late), Err(TokenError::Expired { ended_at: late }));
    }

    #[test]
    fn a_sealed_token_opens_under_its_own_id_only_and_holds_no_text_of_the_token() {
        let sealer = Sealer::new(&"example.org".parse().unwrap(), "k", DataKey::from_slice(&[7; 32]).unwrap());
        let (id, other) = (TokenId::of(&token(1)), TokenId::of(&token(2)));
        assert_ne!(id, other);
        let sealed = record().seal(&sealer, &id).unwrap();
        assert_eq!(TokenRecord::open(&sealer, &id, &sealed).unwrap(), record());
        assert!(TokenRecord::open(&sealer, &other, &sealed).is_err());
        let plain = serde_json::to_string(&record()).unwrap();
        assert!(!plain.contains(token(1).expose()) && !format!("{:?}", record()).contains(&hex::encode(token(1).hash())));
    }
}
