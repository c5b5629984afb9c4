//! The registry: every entry, node and join token in memory, as the store has them.
//!
//! [`follow`](Registry::follow) reads the store once and then applies each commit, in order; nothing else writes here. Whoever committed waits with
//! [`settled`](Registry::settled) until its own commit shows. What a commit changed for a node goes to the open streams of that node and nowhere else, so
//! that a change costs what it changes, whatever the number of entries.

pub mod aliases;
mod apply;
pub mod changes;
pub mod crls;
pub mod edit;
pub mod entries;
pub mod feed;
mod follow;
mod lookup;
pub mod nodes;
pub mod partner_crls;
pub mod partners;
pub mod presence;
pub mod records;
pub mod relationships;
pub mod standings;
mod state;
pub mod streams;

pub use aliases::AliasIndex;
pub use crls::{PublishedCrls, StagedCrls};
pub use edit::{Allowed, Desk, EditError, Editor};
pub use entries::{HeldEntry, ListPosition};
pub use follow::RegistryError;
pub use nodes::HeldNode;
pub use partner_crls::{GivenCrls, HeldCrls};
pub use partners::{Federated, HeldBundle};
pub use presence::{OpenStream, Presence, Standing, StreamEnd};
pub use relationships::{HeldRelationship, RelationshipIndex};
pub use state::{HeldRule, HeldToken, State};
pub use streams::Start;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use trust_domains::x509::VerifiedPeer;
use trust_domains::{Revision, Serial};

/// Everything that the server knows of entries and nodes.
#[derive(Debug)]
pub struct Registry {
    epoch: u64,
    /// The commit that the process started with: an agent that shows a later one was connected to this very process.
    loaded_at: u64,
    state: RwLock<State>,
    presence: Presence,
    progress: watch::Sender<Progress>,
    /// The newest commit that changed a rule of revocation.
    rules: watch::Sender<u64>,
    /// The newest commit that changed a relationship with a partner.
    relationships: watch::Sender<u64>,
    /// Lists that go out with the commit that is on its way.
    staged: Mutex<Option<StagedCrls>>,
    /// The serials that are revoked, whether the lists that say so are out or not.
    revoked: RwLock<HashSet<Serial>>,
    /// How this server stands with its partners.
    standings: RwLock<Arc<standings::Standings>>,
}

/// How far the registry has followed the store.
#[derive(Debug, Clone, Copy)]
struct Progress {
    counter: u64,
    follows: bool,
}

impl Registry {
    fn starting_with(epoch: u64, state: State) -> Arc<Self> {
        let counter = state.counter();
        Arc::new(Self {
            epoch,
            loaded_at: counter,
            state: RwLock::new(state),
            presence: Presence::default(),
            progress: watch::Sender::new(Progress { counter, follows: true }),
            rules: watch::Sender::new(counter),
            relationships: watch::Sender::new(counter),
            staged: Mutex::default(),
            revoked: RwLock::default(),
            standings: RwLock::default(),
        })
    }

    /// Looks at entries, nodes and tokens as they are after one commit.
    pub fn view<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.read())
    }

    /// Returns the newest commit that shows here.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.at(self.read().counter())
    }

    /// Returns the revision of a commit of this store.
    #[must_use]
    pub const fn at(&self, counter: u64) -> Revision {
        Revision { epoch: self.epoch, counter }
    }

    /// Returns whether the process was already running when a node saw this commit.
    #[must_use]
    pub const fn is_of_this_process(&self, revision: Revision) -> bool {
        revision.epoch == self.epoch && revision.counter > self.loaded_at
    }

    /// Waits until a commit shows here. Returns at once when the store has ended: nothing will show any more.
    pub async fn settled(&self, revision: Revision) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as the registry.
        let _ = progress.wait_for(|progress| progress.counter >= revision.counter || !progress.follows).await;
    }

    /// Returns the newest commit that changed a rule of revocation, and each later one.
    #[must_use]
    pub fn rules(&self) -> watch::Receiver<u64> {
        self.rules.subscribe()
    }

    /// Returns the newest commit that changed a relationship with a partner, and each later one.
    #[must_use]
    pub fn relationships(&self) -> watch::Receiver<u64> {
        self.relationships.subscribe()
    }

    /// Puts lists in place that go out with the commit that stores their number.
    pub fn stage(&self, staged: StagedCrls) {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some(staged);
    }

    /// Notes which serials are revoked and which need not be remembered any more.
    pub fn note_revoked(&self, added: impl IntoIterator<Item = Serial>, ended: &[Serial]) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.extend(added);
        ended.iter().for_each(|serial| {
            revoked.remove(serial);
        });
    }

    /// Returns whether the certificate with this serial, of this server, is revoked.
    #[must_use]
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains(serial)
    }

    /// Returns whether a node may not renew with this SVID, whether it has ended or not.
    #[must_use]
    pub fn refuses_renewal(&self, svid: &VerifiedPeer) -> bool {
        let refuses = |rule: &HeldRule| rule.rule.refuses_renewal(svid.spiffe_id(), svid.serial(), svid.not_before());
        self.is_revoked(svid.serial()) || self.view(|state| state.rules.values().any(refuses))
    }

    /// Returns who is connected.
    #[must_use]
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
