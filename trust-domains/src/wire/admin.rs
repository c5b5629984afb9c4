//! The admin API: what an operator asks of a server, over its local socket.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `POST /v1/admin/tokens` | [`TokenRequest`] | [`TokenCreated`] |
//! | `GET /v1/admin/tokens?limit=N&after=T` | - | [`Page`] of [`TokenView`] |
//! | `DELETE /v1/admin/tokens/{id}` | - | 204 |
//! | `POST /v1/admin/entries` | [`CreateEntries`] | [`EntriesCreated`] |
//! | `GET /v1/admin/entries?limit=N&after=T&spiffe_id=S&parent=P` | - | [`Page`] of [`EntryView`] |
//! | `GET /v1/admin/entries/count` | - | [`Count`] |
//! | `GET /v1/admin/entries/{id}` | - | [`EntryView`] |
//! | `PATCH /v1/admin/entries/{id}` | [`EntryChange`] | [`EntryView`] |
//! | `DELETE /v1/admin/entries/{id}` | - | [`EntryDeleted`] |
//! | `POST /v1/admin/entries/apply` | [`ApplyEntries`] | [`ApplyOutcome`] |
//! | `POST /v1/admin/wait` | [`WaitRequest`] | [`WaitOutcome`] |
//! | `GET /v1/admin/nodes?limit=N&after=T` | - | [`Page`] of [`NodeView`] |
//! | `GET /v1/admin/nodes/{name}` | - | [`NodeView`] |
//! | `POST /v1/admin/nodes/{name}/ban` and `/evict` | - | [`NodeView`] |
//! | `GET /v1/admin/bundle` | - | [`crate::bundle::SpiffeBundle`] |
//! | `POST /v1/admin/mint-jwt` | [`MintJwtRequest`] | [`MintedToken`] |
//! | `POST /v1/admin/mint-wit/challenge` | - | [`WitChallenge`] |
//! | `POST /v1/admin/mint-wit` | [`MintWitRequest`] | [`MintedToken`], or `wit_disabled` where the server does not issue them |
//! | `/v1/admin/bundles...` | see [`super::bundles`] | |
//! | `GET /v1/admin/audit?after=SEQ&last=N&follow=BOOL&limit=N` | - | lines of [`super::audit::AuditRecord`] |
//! | `GET /v1/admin/health` | - | [`Health`] |
//!
//! `{id}` of an entry is its id, or its SPIFFE ID percent-encoded where that is unique; `{name}` of a node is its name or its SPIFFE ID percent-encoded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::class::CredentialClass;
use crate::entry::EntryId;
use crate::join_link::JoinLink;
use crate::revision::Revision;
use crate::selector::Selector;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;
use crate::trust_domain::TrustDomain;
use crate::wire::encoding::Base64;
use crate::wire::tokens::{TokenText, bound_message};

/// A part of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in a stable order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next part; absent at the end.
    pub next: Option<String>,
}

/// The longest page of a list: about 1 MiB of entries.
pub const MAX_PAGE: usize = 1_000;

/// Asks for a join token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// How long it may be used, in seconds: 10 s to 7 days.
    pub ttl_s: u64,
    /// The name the node will have; a random one otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<crate::node::NodeName>,
}

/// A new join token: the only time that its text is shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// Names the token in `list` and `delete`; it is no secret.
    pub id: String,
    /// The join link: a secret.
    pub link: JoinLink,
    /// The token alone: a secret.
    pub token: crate::join_link::JoinToken,
    /// The address in the link.
    pub server: String,
    /// Where that address came from: `advertise`, `listen` or `hostname`.
    pub server_from: String,
    /// SHA-256 of each root's DER, in hex.
    pub root_sha256: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The name that the node will have.
    pub node_id: crate::node::NodeName,
}

/// A join token as a list shows it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Names the token.
    pub id: String,
    /// The name that its node will have.
    pub node_id: crate::node::NodeName,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether a key was bound to it.
    pub used: bool,
}

/// An entry as an operator writes it; short forms are allowed and the server expands them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryDraft {
    /// The identity to give: a SPIFFE ID, or its path (`/web`).
    pub spiffe_id: String,
    /// The node: a SPIFFE ID or a node's name. Without it the only node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What a process must have, all of it.
    pub selectors: Vec<String>,
    /// How long its credentials may live; `medium` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<CredentialClass>,
    /// The life of its X509-SVIDs, in seconds; that of its class without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_ttl_s: Option<u64>,
    /// The life of its JWT-SVIDs, in seconds; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_ttl_s: Option<u64>,
    /// More claims of its JWT-SVIDs, by name; the server's configuration lists the names that are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Value>,
    /// A label for workloads with several identities, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Partner trust domains whose bundles its workload gets, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federates_with: Vec<TrustDomain>,
    /// When the entry ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,

    // What `entry list` prints and `--file` reads back without using it: an edited list can be applied.
    /// Read back and not used: the server names entries.
    #[serde(default, skip_serializing)]
    pub id: Option<String>,
    /// Read back and not used: revisions are the store's.
    #[serde(default, skip_serializing)]
    pub revision: Option<Revision>,
    /// Read back and not used.
    #[serde(default, skip_serializing)]
    pub created_at: Option<Timestamp>,
    /// Read back; anything but an empty list is refused: this server does not issue DNS names yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// Read back and not used: what an earlier `create` did.
    #[serde(default, skip_serializing)]
    pub result: Option<String>,
}

/// Asks for entries: all checked before any is written, then committed in batches.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEntries {
    /// The entries, at most 200,000.
    pub entries: Vec<EntryDraft>,
}

/// What came of [`CreateEntries`], in its order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntriesCreated {
    /// The entries.
    pub entries: Vec<EntryView>,
    /// What the operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The newest commit of the request.
    pub revision: Revision,
}

/// What `create` did with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// It is new.
    Created,
    /// An equal one was there.
    Unchanged,
    /// It was changed.
    Updated,
}

/// An entry as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    /// Names the entry.
    pub id: EntryId,
    /// The identity it gives.
    pub spiffe_id: SpiffeId,
    /// The node it is on.
    pub parent_id: SpiffeId,
    /// What a process must have, all of it.
    pub selectors: Vec<Selector>,
    /// How long its credentials may live.
    pub class: CredentialClass,
    /// The life of its X509-SVIDs, in seconds.
    pub x509_ttl_s: u64,
    /// The life of its JWT-SVIDs, in seconds.
    pub jwt_ttl_s: u64,
    /// DNS names in its certificates.
    pub dns_names: Vec<String>,
    /// Trust domains whose bundles it gets.
    pub federates_with: Vec<TrustDomain>,
    /// More claims of its JWT-SVIDs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Value>,
    /// A label.
    pub hint: Option<String>,
    /// When the entry ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The commit that last changed it.
    pub revision: Revision,
    /// What `create`, `update` or `apply` did; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EntryResult>,
}

/// Fields of an entry to change; absent ones stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryChange {
    /// Replaces the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Moves it to another node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Replaces all selectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectors: Option<Vec<String>>,
    /// Replaces the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<CredentialClass>,
    /// Replaces the life of X509-SVIDs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_ttl_s: Option<u64>,
    /// Replaces the life of JWT-SVIDs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_ttl_s: Option<u64>,
    /// Replaces all claims; an empty object removes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<BTreeMap<String, Value>>,
    /// Replaces the hint; an empty one removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Replaces the partner trust domains; an empty list takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federates_with: Option<Vec<TrustDomain>>,
    /// Replaces the end of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An entry is gone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntryDeleted {
    /// The entry.
    pub id: EntryId,
    /// The identity it gave.
    pub spiffe_id: SpiffeId,
    /// The node it was on.
    pub parent_id: SpiffeId,
    /// The commit.
    pub revision: Revision,
}

/// Makes a set of entries true.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyEntries {
    /// The entries that shall be.
    pub entries: Vec<EntryDraft>,
    /// Whether entries that are not in the set are deleted.
    #[serde(default)]
    pub prune: bool,
    /// Whether only the plan is asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// What `apply` does to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyAction {
    /// Makes it.
    Create,
    /// Removes it.
    Delete,
    /// Changes it.
    Update,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApplyStep {
    /// What is done.
    pub action: ApplyAction,
    /// To which entry; absent for one that is still to be made.
    pub id: Option<EntryId>,
    /// Its identity.
    pub spiffe_id: SpiffeId,
    /// Its node.
    pub parent_id: SpiffeId,
    /// Why, in words: the fields that differ.
    pub reason: String,
}

/// What `apply` did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApplyOutcome {
    /// The steps.
    pub steps: Vec<ApplyStep>,
    /// Entries that were right already.
    pub unchanged: usize,
    /// Whether the steps were done.
    pub applied: bool,
    /// What the operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The newest commit.
    pub revision: Revision,
}

/// How many there are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// That many.
    pub count: usize,
}

/// Waits until every connected node concerned shows a commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitRequest {
    /// The commit.
    pub revision: Revision,
    /// The nodes concerned, by SPIFFE ID.
    pub nodes: Vec<SpiffeId>,
    /// The longest wait, in seconds: at most 300.
    pub timeout_s: u64,
}

/// Who shows a commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WaitOutcome {
    /// Connected nodes concerned that show it.
    pub acknowledged: Vec<crate::node::NodeName>,
    /// Connected nodes concerned that do not show it yet.
    pub missing: Vec<crate::node::NodeName>,
    /// Nodes concerned that are not connected, with the time since when, if this server saw them.
    pub away: Vec<AwayNode>,
}

/// A node without a connection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AwayNode {
    /// The node.
    pub name: String,
    /// Since when; absent when it never connected to this process.
    pub since: Option<Timestamp>,
}

/// A node as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// The node's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// Its name: the last part of that ID.
    pub name: crate::node::NodeName,
    /// Whether it may be served.
    pub state: crate::node::NodeState,
    /// Whether it has an open sync stream now.
    pub connected: bool,
    /// How it proved itself.
    pub attestation: String,
    /// Facts about the node.
    pub selectors: Vec<Selector>,
    /// When its SVID ends.
    pub expires_at: Timestamp,
    /// When it joined.
    pub joined_at: Timestamp,
    /// The commit it shows; absent when not connected.
    pub acknowledged: Option<Revision>,
}

/// Asks for a JWT-SVID that no node asks for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintJwtRequest {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    pub spiffe_id: String,
    /// Whom the token is for, as in [`JwtRequest`](super::tokens::JwtRequest).
    pub audience: Vec<String>,
    /// Its life in seconds: at most that of the server's longest class; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// Whether it says from when on it is good (`nbf`).
    #[serde(default)]
    pub not_before: bool,
}

/// The octets of a [`WitChallenge`].
pub const WIT_CHALLENGE_LEN: usize = 32;

/// What the next proof of possession must be made for: good once, and for a minute.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WitChallenge {
    /// [`WIT_CHALLENGE_LEN`] random octets.
    pub challenge: Base64,
    /// Seconds until it is good for nothing.
    pub expires_in_s: u64,
}

/// Asks for a WIT-SVID that no node asks for, for a key that the caller has made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintWitRequest {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    pub spiffe_id: String,
    /// The key that the token will be bound to: a DER SubjectPublicKeyInfo, uncompressed P-256.
    pub public_key: Base64,
    /// The challenge that the server gave for this.
    pub challenge: Base64,
    /// The signature of that key (ECDSA P-256, SHA-256, ASN.1) over [`mint_wit_possession_message`].
    pub proof: Base64,
    /// Its life in seconds: at most that of the server's longest class; 3,600 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// Returns the octets that a key signs to prove that who asks the admin API for a WIT-SVID has it. There is no TLS on that socket, and so no exporter:
/// the server's challenge says that the signature is of now.
#[must_use]
pub fn mint_wit_possession_message(challenge: &[u8; WIT_CHALLENGE_LEN], public_key_spki: &[u8], spiffe_id: &str) -> Vec<u8> {
    bound_message(b"troth-mint-wit-possession", challenge, public_key_spki, spiffe_id.as_bytes())
}

/// A token that an operator minted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MintedToken {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Its own id, by which the journal names it.
    pub jti: TokenId,
    /// The token: a secret, and a JWT-SVID one that whoever has it can use.
    pub token: TokenText,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// In a word.
    pub state: HealthState,
    /// What is wrong, each with what to do.
    pub problems: Vec<String>,
}

/// How a process is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It works, and something needs a person.
    Degraded,
    /// It works.
    Ready,
    /// It does not serve yet.
    Starting,
}
