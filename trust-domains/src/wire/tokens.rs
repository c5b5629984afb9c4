//! The part of the node API that issues tokens.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `POST /v1/node/issue-jwt` | [`IssueJwtRequest`] | [`IssueTokensResponse`] |

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::entry::EntryId;
use crate::problem::Problem;
use crate::revision::Revision;
use crate::timestamp::Timestamp;

/// The most values that the audience of one token may have; one is the rule (JWT-08).
pub const MAX_AUDIENCES: usize = 16;

/// The longest value of an audience, in bytes: room for any URL or SPIFFE ID.
pub const MAX_AUDIENCE_LEN: usize = 2_048;

/// The most bytes of all values of an audience together: a token travels in a header, and servers take 8 KiB of those.
pub const MAX_AUDIENCE_TOTAL: usize = 8_192;

/// A batch of JWT-SVIDs to issue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueJwtRequest {
    /// At most [`MAX_ISSUE_BATCH`](super::node::MAX_ISSUE_BATCH).
    pub requests: Vec<JwtRequest>,
}

/// One JWT-SVID to issue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtRequest {
    /// The entry to issue for.
    pub entry_id: EntryId,
    /// Whom the token is for: 1 to [`MAX_AUDIENCES`] values of 1 to [`MAX_AUDIENCE_LEN`] bytes, each once, at most
    /// [`MAX_AUDIENCE_TOTAL`] bytes in all.
    pub audience: Vec<String>,
}

/// The answers to a batch, in its order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IssueTokensResponse {
    /// One for each request.
    pub results: Vec<TokenResult>,
}

/// The answer for one token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum TokenResult {
    /// The token.
    Issued(IssuedToken),
    /// Why there is none.
    Refused {
        /// The entry asked for.
        entry_id: EntryId,
        /// The reason.
        problem: Problem,
    },
}

/// One issued token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    /// The entry it was issued for.
    pub entry_id: EntryId,
    /// The commit of the entry that it shows.
    pub entry_revision: Revision,
    /// The token: a bearer secret.
    pub token: TokenText,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Seconds from this answer until it ends: the agent counts these on its own monotonic clock.
    pub expires_in_s: u64,
}

/// A token in JWS compact form. It is wiped when dropped, and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for TokenText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({} bytes)", self.0.len())
    }
}
