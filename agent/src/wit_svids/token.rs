//! One WIT-SVID as a workload gets it.

use trust_domains::wire::tokens::TokenText;
use trust_domains::{SpiffeId, Timestamp};

use super::private_jwk::PrivateJwk;

/// One WIT-SVID and the key it is bound to, both wiped when the last who holds them is done.
pub struct WitSvid {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The token: worth nothing without a proof by its key.
    pub token: TokenText,
    /// The private key.
    pub key: PrivateJwk,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for WitSvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitSvid")
            .field("spiffe_id", &self.spiffe_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
