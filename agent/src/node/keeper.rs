//! The one place where the node's identity and its trust bundle are replaced: sealed on disk first, then shown to everybody.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use trust_domains::bundle::TrustBundle;

use super::identity::{CurrentIdentity, NodeIdentity};
use super::sealed::{SealedError, SealedRecords};

/// Holds the current identity and the bundle by which the server is verified.
pub(crate) struct IdentityKeeper {
    records: Arc<SealedRecords>,
    identity: watch::Sender<CurrentIdentity>,
    bundle: Arc<ArcSwap<TrustBundle>>,
    /// Held over each write: a new bundle must never be sealed together with an identity that was replaced meanwhile.
    writing: Mutex<Writing>,
}

/// Whether the identity may still be replaced here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Closed,
    Open,
}

impl IdentityKeeper {
    /// Takes up an identity that is on disk already.
    pub(crate) fn new(records: Arc<SealedRecords>, identity: CurrentIdentity, bundle: TrustBundle) -> Self {
        Self {
            records,
            identity: watch::Sender::new(identity),
            bundle: Arc::new(ArcSwap::from_pointee(bundle)),
            writing: Mutex::new(Writing::Open),
        }
    }

    /// Returns the identity as it changes.
    pub(crate) fn identity(&self) -> watch::Receiver<CurrentIdentity> {
        self.identity.subscribe()
    }

    /// Returns the identity now.
    pub(crate) fn current(&self) -> CurrentIdentity {
        self.identity.borrow().clone()
    }

    /// Returns the bundle by which the server is verified.
    pub(crate) fn bundle(&self) -> Arc<ArcSwap<TrustBundle>> {
        self.bundle.clone()
    }

    /// Replaces the identity, and returns whether it was: not after [`close`](Self::close). Blocks on the disk.
    pub(crate) fn replace(&self, identity: NodeIdentity, bundle: TrustBundle) -> Result<bool, SealedError> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if *writing == Writing::Closed {
            return Ok(false);
        }
        identity.save(&self.records, &bundle)?;
        self.bundle.store(Arc::new(bundle));
        self.identity.send_replace(Arc::new(identity));
        Ok(true)
    }

    /// Ends the keeping, and returns what whoever goes on must go on with: an identity that was sealed a moment ago, and perhaps used, and not the one
    /// before it, whose key the server would take for a copy. Waits for a write that is under way.
    pub(crate) fn close(&self) -> (CurrentIdentity, TrustBundle) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = Writing::Closed;
        (self.current(), (**self.bundle.load()).clone())
    }

    /// Takes a newer bundle. It is believed even if it cannot be written: the one on disk is then merely older. Blocks on the disk.
    pub(crate) fn learn(&self, bundle: Arc<TrustBundle>) -> Result<(), SealedError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if **self.bundle.load() == *bundle {
            return Ok(());
        }
        self.bundle.store(bundle.clone());
        self.current().save(&self.records, &bundle)
    }
}
