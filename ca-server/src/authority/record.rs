//! An authority as the store keeps it: sealed whole, so that neither its key nor its state can be read or changed on the disk.

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, Phase};
use trust_domains::wire::encoding::Base64;

use super::stored_key::StoredKey;

/// The version of a CA's record.
pub(super) const FORMAT: u32 = 1;

/// The newest version of a token key's record: with an algorithm. The version before knows ES256 alone, and one of those is still written as it was.
pub(super) const TOKEN_FORMAT: u32 = 2;

/// The oldest version of any record that is read.
pub(super) const OLDEST_FORMAT: u32 = 1;

/// The head of every authority's record: what says how to read the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) kind: AuthorityKind,
}

/// A key that signs tokens. It has no certificate: what that would say is here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenKeyRecord {
    pub(super) format: u32,
    pub(super) kind: AuthorityKind,
    pub(super) phase: Phase,
    pub(super) created_at: Timestamp,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// What it signs with; absent for ES256.
    #[serde(default, skip_serializing_if = "is_es256")]
    pub(super) algorithm: TokenAlgorithm,
    /// When the bundle with it was handed out; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) published_at: Option<Timestamp>,
    /// How long relying parties outside could take to hear of it then, in seconds; absent for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) refreshes_s: u64,
    pub(super) private_key: StoredKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_es256(algorithm: &TokenAlgorithm) -> bool {
    *algorithm == TokenAlgorithm::Es256
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(seconds: &u64) -> bool {
    *seconds == 0
}

/// Returns the version of a token key's record: the oldest that can tell what it says.
pub(super) fn token_format(algorithm: TokenAlgorithm) -> u32 {
    match algorithm {
        TokenAlgorithm::Es256 => OLDEST_FORMAT,
        TokenAlgorithm::Rs256 => TOKEN_FORMAT,
    }
}

/// One CA. What its certificate says (names, validity) is read from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AuthorityRecord {
    pub(super) format: u32,
    pub(super) kind: AuthorityKind,
    pub(super) phase: Phase,
    pub(super) created_at: Timestamp,
    /// The root above an issuing CA; absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<AuthorityId>,
    pub(super) certificate: Base64,
    pub(super) private_key: StoredKey,
}
