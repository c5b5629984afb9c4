//! One token as a workload gets it, and why it gets none.

use trust_domains::wire::tokens::TokenText;
use trust_domains::{SpiffeId, Timestamp};

/// One JWT-SVID: a bearer secret, wiped when the last who holds it is done.
pub struct JwtSvid {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The token.
    pub token: TokenText,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtSvid")
            .field("spiffe_id", &self.spiffe_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why a workload gets no token now. It is the same for all who waited for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unobtained {
    /// The entry changed or went while the token was being issued.
    #[error("the entry that gives this identity is gone or changed; ask again")]
    EntryChanged,
    /// So many tokens are being waited for that one more is not asked for.
    #[error("{limit} tokens are being waited for already; ask again in a moment")]
    Full {
        /// How many may be waited for.
        limit: usize,
    },
    /// The server refused, or answered something unusable.
    #[error("no token could be issued: {0}")]
    Refused(String),
    /// The server was not reached.
    #[error("no token can be issued: {0}")]
    Unreached(String),
}
