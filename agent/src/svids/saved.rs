//! The sealed cache: what a restarted agent serves while its server is away.

mod form;
mod last_seen;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trust_domains::crl::CrlSet;
use trust_domains::plan::restart::MachineTag;
use trust_domains::problem::with_causes;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Revision, TrustBundle, TrustDomain};

pub(crate) use self::form::{Restored, SavedUnreadable, load};
use self::form::{Sealing, write};
pub(crate) use self::last_seen::{LastSeen, read as last_seen};
use super::cache::SvidCache;
use super::lists::KeptLists;
use super::slot::Held;
use super::state::State;
use crate::node::{Record, SealedError, SealedRecords};

/// How long after a change it is written: a batch and the next message of the stream go into one write.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// The pause after a write: what a crash may lose is this old, and the server has all of it.
const PAUSE: Duration = Duration::from_secs(5);

/// What the cache held at one moment.
#[derive(Debug)]
pub(super) struct Kept {
    revision: Revision,
    bundle: Arc<TrustBundle>,
    /// Nothing while it is not known: what was taken up is an older version's.
    federated: Option<Vec<Arc<TrustBundle>>>,
    federated_crls: Vec<(TrustDomain, CrlSet)>,
    /// The partners that every entry has.
    given_to_all: BTreeSet<TrustDomain>,
    lists: KeptLists,
    entries: Vec<Arc<NodeEntry>>,
    svids: Vec<Held>,
}

impl State {
    /// Returns what is worth keeping over a restart; `None` before the first sync.
    pub(super) fn worth_keeping(&self) -> Option<Kept> {
        let (revision, bundle) = (self.shown?, self.bundle.clone()?);
        let svids = self.slots.values().filter_map(|slot| {
            let mut held = slot.held.clone()?;
            if !slot.stale {
                // The entry's commit may have moved on without a change that the SVID shows.
                held.entry_revision = slot.entry.revision;
            }
            Some(held)
        });
        Some(Kept {
            revision,
            bundle,
            federated: (!self.incomplete).then(|| self.partners.all().cloned().collect()),
            federated_crls: self.partner_lists.worth_keeping(),
            given_to_all: self.partners.given_to_all().clone(),
            lists: self.lists.worth_keeping(),
            entries: self.slots.values().map(|slot| slot.entry.clone()).collect(),
            svids: svids.collect(),
        })
    }
}

/// Keeps the sealed cache up to date.
pub(crate) struct Saver {
    pub(crate) cache: SvidCache,
    pub(crate) records: Arc<SealedRecords>,
    /// Returns who this node is now.
    pub(crate) node: tokio::sync::watch::Receiver<Option<crate::node::CurrentIdentity>>,
    /// The machine that it is sealed for.
    pub(crate) machine: Option<MachineTag>,
    pub(crate) last_seen: LastSeen,
}

impl Saver {
    /// Writes after each change, and what is still unwritten at the end. Without a change nothing is written: a cache that may not be served now is still there for
    /// a later run.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.cache.changes();
        changes.mark_unchanged();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(DEBOUNCE) => {}
                () = stop.cancelled() => return self.save().await,
            }
            changes.mark_unchanged();
            self.save().await;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => break,
            }
        }
        if changes.has_changed().unwrap_or(false) {
            self.save().await;
        }
    }

    async fn save(&self) {
        let node = self.node.borrow().as_ref().map(|identity| identity.spiffe_id.clone());
        let kept = self.cache.read(|state| state.worth_keeping());
        let (machine, last_seen) = (self.machine, self.last_seen.look());
        let records = self.records.clone();
        // Sealing and writing 2 MB, and waiting for the disk, are not for the runtime.
        let saved = tokio::task::spawn_blocking(move || match (kept, node) {
            (Some(kept), Some(node)) => {
                let by = Sealing {
                    node: &node,
                    machine,
                    last_seen,
                };
                let octets = write(&kept, by).map_err(|source| SealedError::Unknown { record: Record::Cache, source })?;
                records.write(Record::Cache, &octets)
            }
            _ => records.remove(Record::Cache),
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %with_causes(&error), "the cache was not sealed on disk; a restart would serve an older one"),
            Err(error) => tracing::warn!(error = %error, "the cache was not sealed on disk"),
        }
    }
}

/// Seals what a cache holds as a run would that ended now.
#[cfg(test)]
pub(crate) fn sealed_by(
    cache: &SvidCache,
    records: &SealedRecords,
    node: &trust_domains::SpiffeId,
    machine: Option<MachineTag>,
    last_seen: trust_domains::Timestamp,
) {
    let kept = cache.read(|state| state.worth_keeping()).unwrap();
    let by = Sealing { node, machine, last_seen };
    records.write(Record::Cache, &write(&kept, by).unwrap()).unwrap();
}

#[cfg(test)]
mod tests;
