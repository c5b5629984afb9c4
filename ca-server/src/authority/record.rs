//! An authority as the store keeps it: sealed whole, so that neither its key nor its state can be read or changed on the disk.

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{Asked, AuthorityId, AuthorityKind, Phase};
use trust_domains::wire::encoding::Base64;

use super::stored_key::StoredKey;

/// The newest version of a CA's record: its key is in a PKCS#11 token. The version before knows keys in the record alone, and one of those is still written
/// as it was.
pub(super) const FORMAT: u32 = 2;

/// The newest version of a token key's record: the key is in a PKCS#11 token. The one before has an algorithm, the first knows ES256 alone.
pub(super) const TOKEN_FORMAT: u32 = 3;

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
    #[serde(default, skip_serializing_if = "Notes::is_empty")]
    pub(super) notes: Notes,
    pub(super) private_key: StoredKey,
}

/// What is known about the state of an authority beside the state itself. Records of earlier versions have none of it, and those versions leave it out: it
/// says why, and what an operator asked for, and nothing is signed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// Why it is in its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
    /// What an operator asked of it while it is prepared.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(super) asked: Asked,
}

impl Notes {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(asked: &Asked) -> bool {
    *asked == Asked::Nothing
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
pub(super) fn token_format(algorithm: TokenAlgorithm, key: &StoredKey) -> u32 {
    match (key, algorithm) {
        (StoredKey::Token(_), _) => TOKEN_FORMAT,
        (StoredKey::Pkcs8(_), TokenAlgorithm::Rs256) => TOKEN_FORMAT - 1,
        (StoredKey::Pkcs8(_), TokenAlgorithm::Es256) => OLDEST_FORMAT,
    }
}

/// Returns the version of a CA's record, in the same way.
pub(super) fn ca_format(key: &StoredKey) -> u32 {
    match key {
        StoredKey::Pkcs8(_) => OLDEST_FORMAT,
        StoredKey::Token(_) => FORMAT,
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
    /// When every node was told of it as it is now; absent until then, and for what nobody need be told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) published_at: Option<Timestamp>,
    /// How long those outside could take to hear of it then, in seconds; absent for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) refreshes_s: u64,
    #[serde(default, skip_serializing_if = "Notes::is_empty")]
    pub(super) notes: Notes,
    pub(super) certificate: Base64,
    pub(super) private_key: StoredKey,
}
