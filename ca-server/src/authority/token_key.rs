//! A key that signs tokens: what an issuing CA is to certificates, without a certificate.

use trust_domains::Timestamp;
use trust_domains::bundle::PublicJwk;
use trust_domains::jws::{TokenAlgorithm, TokenSignature};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::public_key::KeyHash;

use super::key::{KeyError, KeyPlace};
use super::token_signer::TokenSigner;

/// A key that signs tokens, and while it may. It is reached by the stages alone.
pub struct TokenKey {
    id: AuthorityId,
    not_before: Timestamp,
    not_after: Timestamp,
    signer: TokenSigner,
    jwk: PublicJwk,
}

impl TokenKey {
    /// Takes a key with its time.
    pub(super) fn new(signer: TokenSigner, not_before: Timestamp, not_after: Timestamp) -> Result<Self, KeyError> {
        let id = signer.key_id()?.authority_id();
        Ok(Self {
            jwk: signer.jwk(&id),
            id,
            not_before,
            not_after,
            signer,
        })
    }

    /// Returns what it is known by, here and in the tokens' `kid`: its key identifier in hex.
    #[must_use]
    pub fn id(&self) -> &AuthorityId {
        &self.id
    }

    /// Returns what it signs with.
    #[must_use]
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.signer.algorithm()
    }

    /// Returns the public key as a bundle has it.
    #[must_use]
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
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

    /// Returns the hash of the public key, if a workload could have the same one: those are of P-256.
    pub(super) fn key_hash(&self) -> Option<KeyHash> {
        match &self.signer {
            TokenSigner::Es256(key) => Some(key.public_key().hash()),
            TokenSigner::Rs256(_) => None,
        }
    }

    /// Returns where the key is.
    pub(crate) fn place(&self) -> KeyPlace {
        self.signer.place()
    }

    /// Signs what makes a token.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<TokenSignature, rcgen::Error> {
        self.signer.sign(message)
    }
}

impl std::fmt::Debug for TokenKey {
    /// Shows which key it is, never what it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}
