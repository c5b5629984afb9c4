//! A key that signs tokens: what an issuing CA is to certificates, without a certificate.

use trust_domains::Timestamp;
use trust_domains::plan::authority::AuthorityId;

use super::key::AuthorityKey;

/// A key that signs tokens, and while it may. It is reached by the stages alone.
#[derive(Debug)]
pub struct TokenKey {
    id: AuthorityId,
    not_before: Timestamp,
    not_after: Timestamp,
    key: AuthorityKey,
}

impl TokenKey {
    /// Takes a key with its time.
    pub(crate) fn new(key: AuthorityKey, not_before: Timestamp, not_after: Timestamp) -> Self {
        Self {
            id: key.public().key_id().authority_id(),
            not_before,
            not_after,
            key,
        }
    }

    /// Returns what it is known by, here and in the tokens' `kid`: its key identifier in hex.
    #[must_use]
    pub fn id(&self) -> &AuthorityId {
        &self.id
    }

    /// Returns when it starts.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns when it ends: no token it signs is good after.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns the key that signs.
    pub(crate) fn key(&self) -> &AuthorityKey {
        &self.key
    }
}
