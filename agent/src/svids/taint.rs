//! Authorities whose credentials are to be replaced at once: who is concerned, and when it is done.
//!
//! The commit that brought the list is acknowledged when nothing that one of them signed is shown any more. X509-SVIDs of entries are the cache's own
//! business; every other kind (tokens, the node's own SVID) has a [`Replacer`] that says when it is done.

use tokio::sync::watch;
use trust_domains::plan::tainted::Tainted;
use trust_domains::{EntryId, Revision};

use super::cache::SvidCache;
use super::settlement::Matter;
use super::state::State;

impl State {
    /// Takes the list of a commit: what one of them signed is due at once, and shown meanwhile.
    pub(super) fn taint(&mut self, tainted: Tainted, revision: Revision) {
        if self.tainted == tainted {
            return;
        }
        self.tainted = tainted;
        let counter = self.settlement.taint(revision);
        let ids: Vec<EntryId> = self.kept.iter().cloned().collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.tainted = slot.held.as_ref().is_some_and(|held| held.is_signed_by(&self.tainted));
            if slot.tainted {
                slot.retry_now();
                self.settlement.expect(Matter::Svid(id), counter);
            } else if !slot.is_behind() {
                self.settlement.settle(&Matter::Svid(id));
            }
        }
        self.tainted_sender.send_replace(self.tainted.clone());
    }
}

/// The part of one that replaces a kind of credentials when their authority is tainted: acknowledgements wait for it, until this is dropped.
pub(crate) struct Replacer {
    cache: SvidCache,
    number: u64,
    tainted: watch::Receiver<Tainted>,
}

impl Replacer {
    /// Returns the list as it changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Tainted> {
        self.tainted.clone()
    }

    /// Nothing of this kind that one of `tainted` signed is shown any more. It counts only while that is still the list.
    pub(crate) fn replaced(&self, tainted: &Tainted) {
        self.cache.change(|state, _| {
            if state.tainted == *tainted {
                state.settlement.settle(&Matter::Replacer(self.number));
            }
        });
    }
}

impl Drop for Replacer {
    fn drop(&mut self) {
        self.cache.change(|state, _| state.settlement.deregister_replacer(self.number));
    }
}

impl SvidCache {
    /// Makes acknowledgements of a list of tainted authorities wait for one more kind of credentials.
    pub(crate) fn register_replacer(&self) -> Replacer {
        let (number, tainted) = self.read(|state| (state.settlement.register_replacer(), state.tainted_sender.subscribe()));
        Replacer {
            cache: self.clone(),
            number,
            tainted,
        }
    }
}
