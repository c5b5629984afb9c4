//! Revocation: rules that are stored, what they concern of that which this replica signed, and the lists that say so.
//!
//! - A rule is in the store before anything else happens, and its decision in the journal before that. What it concerns is found in the journal's index.
//! - From then on a node whose SVID is revoked is served no more, at its next request and on its open streams.
//! - [`Publisher`] signs the lists and puts them on every node's stream: at once for the first change, then at most once a second.
//! - What was revoked stays so until it would have ended anyway; then its serial leaves the list, and when nothing is left the rule goes.
//!
//! `docs/revocation.md` explains it to operators.

mod bans;
mod error;
mod expanded;
mod handed_back;
mod lists;
mod number;
mod order;
mod publisher;
mod rule_id;
mod settings;

pub use error::{HandedBackRefused, RevokeError};
pub use number::CrlNumber;
pub use publisher::Publisher;
pub use settings::{CrlBytes, CrlSettings, CrlUse};

pub(crate) use rule_id::rule_id;

use std::sync::Arc;

use tokio::sync::watch;
use trust_domains::TrustDomain;
use trust_domains::clock::SharedClock;

use crate::decisions::DecisionLog;
use crate::journal::Journal;
use crate::registry::Registry;
use crate::store::SharedStore;

/// Makes, closes and lists rules. Clones share everything.
#[derive(Clone)]
pub struct Revocations {
    trust_domain: TrustDomain,
    store: SharedStore,
    registry: Arc<Registry>,
    journal: Journal,
    decisions: DecisionLog,
    clock: SharedClock,
    published: Arc<watch::Sender<Published>>,
}

/// How far the lists that are out follow the rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Published {
    /// The newest commit of rules that they show.
    rules: u64,
    /// The commit with which they went out.
    counter: u64,
}

impl Revocations {
    /// Returns the revocations of a trust domain.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, store: SharedStore, registry: Arc<Registry>, journal: Journal, decisions: DecisionLog, clock: SharedClock) -> Self {
        Self {
            trust_domain,
            store,
            registry,
            journal,
            decisions,
            clock,
            published: Arc::new(watch::Sender::new(Published::default())),
        }
    }

    /// The epoch of the store, by which a rule knows its journal.
    fn epoch(&self) -> u64 {
        self.store.revision().epoch
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
