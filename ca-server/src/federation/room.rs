//! What the room works with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::telemetry::HealthHandle;
use tokio::sync::{Semaphore, watch};
use trust_domains::clock::SharedClock;
use trust_domains::{TrustBundle, TrustDomain};

use super::changes::Changes;
use super::fetch::Fetcher;
use super::partner::Partner;
use super::remembered::{self, Remembered};
use crate::authority::PartnersSeen;
use crate::config::FederationConfig;
use crate::decisions::{Cause, DecisionLog};
use crate::limits::{FETCHES, FETCHES_OF_UNPROVEN};
use crate::metrics::Metrics;
use crate::registry::{Editor, Registry, RegistryError};
use crate::store::SharedStore;

/// What the room is opened with.
pub struct Room {
    /// The own trust domain.
    pub trust_domain: TrustDomain,
    /// How partners are reached.
    pub config: FederationConfig,
    /// Where last successes are remembered.
    pub store: SharedStore,
    /// What shows of relationships, bundles and entries.
    pub registry: Arc<Registry>,
    /// Changes them.
    pub editor: Arc<Editor>,
    /// Takes what became of fetches.
    pub decisions: DecisionLog,
    /// Takes what partners were seen to hold of ours.
    pub seen: PartnersSeen,
    /// The own bundle: an endpoint of this trust domain may serve a partner's.
    pub own: watch::Receiver<Arc<TrustBundle>>,
    /// Counts.
    pub metrics: Metrics,
    /// Says what an operator must look at.
    pub health: HealthHandle,
    /// The clock.
    pub clock: SharedClock,
}

/// Relationships with partners, and the fetching of their bundles.
pub struct Federation {
    pub(super) trust_domain: TrustDomain,
    pub(super) registry: Arc<Registry>,
    pub(super) editor: Arc<Editor>,
    pub(super) decisions: DecisionLog,
    pub(super) seen: PartnersSeen,
    pub(super) own: watch::Receiver<Arc<TrustBundle>>,
    pub(super) metrics: Metrics,
    pub(super) health: HealthHandle,
    pub(super) clock: SharedClock,
    pub(super) fetcher: Fetcher,
    /// Whether redirects are followed, where a relationship allows it.
    pub(super) redirects: bool,
    pub(super) partners: Mutex<Partners>,
    /// The number of the newest change of any partner.
    pub(super) newest: watch::Sender<u64>,
    /// Fetches at once.
    pub(super) slots: Semaphore,
    /// Of these for partners that did not answer well the last time.
    pub(super) slots_of_unproven: Semaphore,
}

/// What this process knows of all partners.
#[derive(Debug)]
pub(super) struct Partners {
    pub(super) known: BTreeMap<TrustDomain, Partner>,
    pub(super) changes: Changes,
    pub(super) remembered: Remembered,
}

impl Federation {
    /// Opens the room. Nothing is fetched before [`run`](Self::run).
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(room: Room) -> Result<Arc<Self>, RegistryError> {
        let now = room.clock.now();
        let remembered = remembered::load(room.store.as_ref()).await?;
        let changes = Changes::starting_at(now.wall);
        Ok(Arc::new(Self {
            newest: watch::Sender::new(changes.newest()),
            partners: Mutex::new(Partners {
                known: BTreeMap::new(),
                changes,
                remembered,
            }),
            fetcher: Fetcher::new(room.config.fetching(room.clock.clone())),
            redirects: room.config.redirects,
            trust_domain: room.trust_domain,
            registry: room.registry,
            editor: room.editor,
            decisions: room.decisions,
            seen: room.seen,
            own: room.own,
            metrics: room.metrics,
            health: room.health,
            clock: room.clock,
            slots: Semaphore::new(FETCHES),
            slots_of_unproven: Semaphore::new(FETCHES_OF_UNPROVEN),
        }))
    }

    /// Looks at what is known of partners, or changes it; `newest` is told afterwards.
    pub(super) fn with_partners<R>(&self, act: impl FnOnce(&mut Partners) -> R) -> R {
        let mut partners = self.lock();
        let done = act(&mut partners);
        let newest = partners.changes.newest();
        drop(partners);
        self.newest.send_if_modified(|told| {
            let changed = *told < newest;
            *told = newest.max(*told);
            changed
        });
        done
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Partners> {
        self.partners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who causes what the loop does by itself.
    pub(super) fn own_cause() -> Cause {
        Cause {
            actor: "server".to_owned(),
            trace_id: String::new(),
        }
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federation").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
