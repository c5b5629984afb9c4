//! The part of the node API that issues tokens.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `POST /v1/node/issue-jwt` | [`IssueJwtRequest`] | [`IssueTokensResponse`] |
//! | `POST /v1/node/issue-wit` | [`IssueWitRequest`] | [`IssueTokensResponse`], or `wit_disabled` where the server does not issue them |

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::encoding::Base64;
use super::node::EXPORTER_LEN;
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

/// A batch of WIT-SVIDs to issue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueWitRequest {
    /// At most [`MAX_ISSUE_BATCH`](super::node::MAX_ISSUE_BATCH).
    pub requests: Vec<WitRequest>,
}

/// One WIT-SVID to issue, for a key that the caller has made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WitRequest {
    /// The entry to issue for.
    pub entry_id: EntryId,
    /// The key that the token will be bound to: a DER SubjectPublicKeyInfo, uncompressed P-256, never seen in this batch before.
    pub public_key: Base64,
    /// The signature of that key (ECDSA P-256, SHA-256, ASN.1) over [`wit_possession_message`] of this connection.
    pub proof: Base64,
}

/// Returns the octets that a key signs to prove that its holder, at this end of this connection, asks for a WIT-SVID for this entry.
///
/// They begin otherwise than those of [`possession_message`](super::node::possession_message), than a certificate request and than a token:
/// no proof passes where another is asked for.
#[must_use]
pub fn wit_possession_message(exporter: &[u8; EXPORTER_LEN], public_key_spki: &[u8], entry_id: &EntryId) -> Vec<u8> {
    bound_message(b"troth-wit-possession", exporter, public_key_spki, entry_id.as_str().as_bytes())
}

/// Joins a prefix of its own and three things of fixed length: nothing that stands for one can be read as another.
pub(super) fn bound_message(prefix: &[u8], fresh: &[u8; 32], public_key_spki: &[u8], purpose: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(prefix.len() + 3 * 32);
    message.extend_from_slice(prefix);
    message.extend_from_slice(fresh);
    message.extend_from_slice(&Sha256::digest(public_key_spki));
    message.extend_from_slice(&Sha256::digest(purpose));
    message
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::node::possession_message;

    #[test]
    fn a_proof_is_for_one_connection_one_key_and_one_entry_and_for_nothing_else() {
        let (one, other): (EntryId, EntryId) = ("0123456789abcdef0123456789abcdef".parse().unwrap(), "f".repeat(32).parse().unwrap());
        let (here, there) = ([1; EXPORTER_LEN], [2; EXPORTER_LEN]);
        let messages = [
            wit_possession_message(&here, b"key", &one),
            wit_possession_message(&there, b"key", &one),
            wit_possession_message(&here, b"yek", &one),
            wit_possession_message(&here, b"key", &other),
            possession_message(&here, b"key", one.as_str().as_bytes()),
        ];
        assert_eq!(messages.iter().collect::<HashSet<_>>().len(), messages.len());
        assert!(
            messages.iter().all(|message| !message.starts_with(b"0") && !message.starts_with(b"eyJ")),
            "no request and no token"
        );
        assert!(!messages[0].starts_with(b"troth-possession") && !messages[4].starts_with(b"troth-wit-possession"));
    }
}
