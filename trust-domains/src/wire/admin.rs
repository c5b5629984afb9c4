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
//! | `POST /v1/admin/revocations` | [`RevokeRequest`] | [`Revoked`] |
//! | `GET /v1/admin/revocations?limit=N&after=ID` | - | [`Page`] of [`RevocationView`] |
//! | `GET /v1/admin/bundle` | - | [`crate::bundle::SpiffeBundle`] |
//! | `POST /v1/admin/mint-jwt` | [`MintJwtRequest`] | [`MintedToken`] |
//! | `POST /v1/admin/mint-wit/challenge` | - | [`WitChallenge`] |
//! | `POST /v1/admin/mint-wit` | [`MintWitRequest`] | [`MintedToken`], or `wit_disabled` where the server does not issue them |
//! | `/v1/admin/authorities...` | see [`super::authorities`] | |
//! | `/v1/admin/bundles...` | see [`super::bundles`] | |
//! | `GET /v1/admin/audit?after=SEQ&last=N&follow=BOOL&limit=N` | - | lines of [`super::audit::AuditRecord`] |
//! | `POST /v1/admin/backup` | - | the octets of a backup, sealed to the recovery key |
//! | `POST /v1/admin/rekey` | [`RekeyRequest`] | [`Rekeyed`] |
//! | `GET /v1/admin/health` | - | [`Health`] |
//!
//! `{id}` of an entry is its id, or its SPIFFE ID percent-encoded where that is unique; `{name}` of a node is its name or its SPIFFE ID percent-encoded.

mod apply;
mod entries;
mod join_tokens;
mod mint;
mod rekey;
mod revocations;
mod wait;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::revision::Revision;
use crate::selector::Selector;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

pub use apply::{ApplyAction, ApplyEntries, ApplyOutcome, ApplyStep};
pub use entries::{CreateEntries, EntriesCreated, EntryChange, EntryDeleted, EntryDraft, EntryResult, EntryView};
pub use join_tokens::{TokenCreated, TokenRequest, TokenView};
pub use mint::{MintJwtRequest, MintWitRequest, MintedToken, WIT_CHALLENGE_LEN, WitChallenge, mint_wit_possession_message};
pub use rekey::{NewPassphrase, RekeyRequest, Rekeyed};
pub use revocations::{RevocationView, RevokeRequest, RevokeTarget, Revoked};
pub use wait::{AwayNode, WaitOutcome, WaitRequest};

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

/// How many there are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// That many.
    pub count: usize,
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
