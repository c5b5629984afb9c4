//! The agent's admin API: what the operator of a node asks of its agent, over `DATA_DIR/agent-admin.sock`.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/agent/status` | - | [`AgentStatus`] |
//! | `GET /v1/agent/explain?pid=PID` | - | [`Explanation`] |
//! | `GET /v1/agent/health` | - | [`super::admin::Health`] |
//! | `POST /v1/agent/leave` | - | 204 |

use serde::{Deserialize, Serialize};

use crate::class::CredentialClass;
use crate::entry::EntryId;
use crate::federation::PartnerState;
use crate::revision::Revision;
use crate::selector::Selector;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// How an agent is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The node's SPIFFE ID; absent before it joined.
    pub spiffe_id: Option<SpiffeId>,
    /// The server's address.
    pub server: Option<String>,
    /// Whether the sync stream is open.
    pub connected: bool,
    /// Since when it is open, or was lost.
    pub since: Option<Timestamp>,
    /// When the node SVID ends.
    pub expires_at: Option<Timestamp>,
    /// The commit that the agent shows.
    pub revision: Option<Revision>,
    /// Entries of this node.
    pub entries: usize,
    /// X509-SVIDs held now.
    pub svids: usize,
    /// JWT-SVIDs held now.
    #[serde(default)]
    pub jwt_svids: usize,
    /// WIT-SVIDs held now.
    #[serde(default)]
    pub wit_svids: usize,
    /// Open Workload API streams.
    pub streams: usize,
    /// Open secret discovery streams.
    #[serde(default)]
    pub sds_streams: usize,
    /// The workload socket.
    pub workload_socket: String,
    /// The secret discovery socket; empty from an agent that has none yet.
    #[serde(default)]
    pub sds_socket: String,
    /// Open Broker API streams.
    #[serde(default)]
    pub broker_streams: usize,
    /// Where the Broker API is served: a path, an address, or both; nowhere unless it is switched on.
    #[serde(default)]
    pub broker_addresses: Vec<String>,
    /// File sinks.
    pub sinks: Vec<SinkStatus>,
    /// The last error towards the server, if the last attempt failed.
    pub last_error: Option<String>,
}

/// How a file sink is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SinkStatus {
    /// The identity it delivers.
    pub spiffe_id: SpiffeId,
    /// Where to.
    pub directory: String,
    /// The serial in place; absent when nothing is.
    pub serial: Option<Serial>,
    /// When it was last written.
    pub written_at: Option<Timestamp>,
    /// What went wrong last, if it did.
    pub last_error: Option<String>,
    /// Its reload hooks, in their order.
    #[serde(default)]
    pub hooks: Vec<HookStatus>,
}

impl SinkStatus {
    /// A sink that has delivered nothing yet.
    #[must_use]
    pub fn new(spiffe_id: SpiffeId, directory: String) -> Self {
        Self {
            spiffe_id,
            directory,
            serial: None,
            written_at: None,
            last_error: None,
            hooks: Vec::new(),
        }
    }
}

/// How a reload hook of a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// What it does.
    pub hook: String,
    /// When it last succeeded.
    pub last_success: Option<Timestamp>,
    /// The serial that was in place then.
    pub serial: Option<Serial>,
    /// Whether it found then that the program does not run.
    pub not_running: bool,
    /// What went wrong since, if it did.
    pub last_error: Option<String>,
    /// How often it failed since.
    pub failures: u32,
    /// When it is tried again; absent when nothing is to be done.
    pub next_try: Option<Timestamp>,
    /// Whether nothing waits for it any longer.
    pub given_up: bool,
}

impl HookStatus {
    /// Returns how a hook is that has not run yet.
    #[must_use]
    pub const fn new(hook: String) -> Self {
        Self {
            hook,
            last_success: None,
            serial: None,
            not_running: false,
            last_error: None,
            failures: 0,
            next_try: None,
            given_up: false,
        }
    }
}

/// Why a process gets what it gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The process.
    pub pid: i32,
    /// What was proved about it.
    pub selectors: Vec<Selector>,
    /// What could not be read, and why.
    pub unknown: Vec<UnknownSelector>,
    /// Each entry of this node.
    pub entries: Vec<EntryMatch>,
    /// What it gets now.
    pub identities: Vec<IdentityNow>,
    /// The one command that would give it an identity, when it has none.
    pub remedy: Option<String>,
}

/// A kind of selector that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownSelector {
    /// The kind, as `unix:path`.
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// How an entry compares with a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntryMatch {
    /// The entry.
    pub id: EntryId,
    /// The identity it gives.
    pub spiffe_id: SpiffeId,
    /// Its class.
    pub class: CredentialClass,
    /// Whether the process gets it.
    pub matches: bool,
    /// Selectors that the process has.
    pub matched: Vec<Selector>,
    /// Selectors that it lacks.
    pub missing: Vec<Selector>,
    /// Selectors that could not be read.
    pub unknown: Vec<Selector>,
    /// The partners that it federates with, where the process gets it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partners: Vec<PartnerNow>,
}

/// What the agent has of a partner, and how its server stands with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerNow {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// Whether its bundle is here.
    pub held: bool,
    /// Since when its keys are, as far as this process knows.
    pub held_since: Option<Timestamp>,
    /// The number of the bundle, if it has one.
    pub sequence: Option<u64>,
    /// How many roots it has: with none, nothing of the partner is trusted.
    pub roots: usize,
    /// How many revocation lists are delivered with it.
    pub crls: usize,
    /// How the server stands with the partner, as it said last; null where it fetches nothing from it.
    pub status: Option<PartnerState>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The stable code of what went wrong last, if it did.
    pub error: Option<String>,
}

/// An identity that a process gets now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityNow {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The serial; absent while it is being issued.
    pub serial: Option<Serial>,
    /// When it was issued.
    pub issued_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it will be renewed.
    pub next_renewal: Option<Timestamp>,
}
