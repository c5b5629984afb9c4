//! The cache's views: who sees which entries, and what is published to whom.

use std::sync::Arc;

use tokio::sync::watch;
use trust_domains::EntryId;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::Demand;
use trust_domains::wire::node::NodeEntry;

use super::settlement::Matter;
use super::slot::Slot;
use super::state::{State, UNUSED_LIMIT};
use super::subscription::{Publication, View, ViewKey};
use super::view::{IdentityView, Unserved};

impl State {
    /// Returns how many subscriptions are open.
    pub(super) fn subscribers(&self) -> usize {
        self.views.values().map(|view| view.subscribers).sum()
    }

    /// Opens or joins a view. Returns also whether an SVID has to be issued for it.
    pub(super) fn subscribe(&mut self, key: &ViewKey, now: Reading) -> (watch::Receiver<Publication>, bool) {
        if !self.views.contains_key(key) {
            self.open_view(key);
        }
        self.publish_view(key, now);
        let view = self.views.entry(key.clone()).or_insert_with(View::new);
        view.subscribers += 1;
        let issues = matches!(&*view.publication.borrow(), Publication::Pending);
        (view.publication.subscribe(), issues)
    }

    /// Leaves a view; with its last subscriber it closes.
    pub(super) fn release(&mut self, key: &ViewKey) {
        let Some(view) = self.views.get_mut(key) else { return };
        view.subscribers = view.subscribers.saturating_sub(1);
        if view.subscribers > 0 {
            return;
        }
        let Some(view) = self.views.remove(key) else { return };
        for (_, id) in view.entries {
            self.leave(&id);
        }
        self.trim();
    }

    fn open_view(&mut self, key: &ViewKey) {
        let mut view = View::new();
        let members: Vec<Arc<NodeEntry>> = match key {
            ViewKey::Identity(_) => self.slots.values().map(|slot| &slot.entry).filter(|entry| key.admits(entry)).cloned().collect(),
            ViewKey::Proven(selectors) => self
                .index
                .candidates(selectors)
                .filter_map(|id| self.slots.get(id))
                .map(|slot| &slot.entry)
                .filter(|entry| key.admits(entry))
                .cloned()
                .collect(),
        };
        for entry in members {
            self.join(&entry.id);
            view.entries.insert((entry.created_at, entry.id.clone()));
        }
        self.views.insert(key.clone(), view);
    }

    /// A view shows the entry from now on: its SVID is held as long as it does.
    pub(super) fn join(&mut self, id: &EntryId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        slot.views += 1;
        slot.kept = true;
        self.unused.take(id);
        self.kept.insert(id.clone());
    }

    /// A view no longer shows the entry.
    pub(super) fn leave(&mut self, id: &EntryId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        slot.views = slot.views.saturating_sub(1);
        if slot.views == 0 {
            self.unused.put(id);
        }
    }

    /// Lets go of SVIDs that nobody used for longest.
    pub(super) fn trim(&mut self) {
        for id in self.unused.trim(UNUSED_LIMIT) {
            self.kept.remove(&id);
            self.settlement.settle(&Matter::Svid(id.clone()));
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.kept = false;
                slot.put(None, false, &self.tainted);
            }
        }
    }

    /// Marks the views that show the entry.
    pub(super) fn mark(&mut self, id: &EntryId) {
        let Some(slot) = self.slots.get(id).filter(|slot| slot.views > 0) else {
            return;
        };
        let member = (slot.entry.created_at, id.clone());
        for view in self.views.values_mut() {
            view.dirty |= view.entries.contains(&member);
        }
    }

    /// Publishes every marked view.
    pub(super) fn publish(&mut self, now: Reading) {
        let dirty: Vec<ViewKey> = self.views.iter().filter(|(_, view)| view.dirty).map(|(key, _)| key.clone()).collect();
        for key in dirty {
            self.publish_view(&key, now);
        }
    }

    fn publish_view(&mut self, key: &ViewKey, now: Reading) {
        let Some(view) = self.views.get(key) else { return };
        let next = self.publication(view, now);
        let Some(view) = self.views.get_mut(key) else { return };
        let published = view.publish(next);
        if let (true, ViewKey::Identity(spiffe_id)) = (published, key) {
            self.settlement.handed_to_sinks(spiffe_id, now.since_boot);
        }
    }

    /// Returns what the view's subscribers should see.
    fn publication(&self, view: &View, now: Reading) -> Publication {
        let unserved = |why| Publication::Unserved { why, shown: self.shown };
        let (Some(revision), Some(bundle)) = (self.shown, &self.bundle) else {
            let withdrawn = |reason: &String| Unserved::Withdrawn { reason: reason.clone() };
            return unserved(self.withdrawn.as_ref().map_or(Unserved::Starting, withdrawn));
        };
        let all = view.entries.iter().filter_map(|(_, id)| self.slots.get(id));
        let (past, slots): (Vec<&Slot>, Vec<&Slot>) = all.partition(|slot| slot.demand(now) == Demand::EntryGone);
        if slots.is_empty() {
            let expired_at = past.iter().filter_map(|slot| slot.entry.expires_at).max();
            return unserved(match expired_at {
                Some(end) => no_entry(format!("the entry that gives this identity expired at {end}")),
                None if view.is_serving() => no_entry("the entry that gave this identity is gone or changed".to_owned()),
                None => Unserved::NotEntitled,
            });
        }
        if let Some(ended) = self.term.ended(now) {
            let reason = format!("this node's own SVID ended at {ended}, and its server has not renewed it");
            return unserved(Unserved::NothingValid { reason, entry_gone: false });
        }
        let svids: Vec<_> = slots.iter().filter_map(|slot| slot.servable(now)).cloned().collect();
        let coming = slots.iter().any(|slot| slot.is_coming(now));
        if !svids.is_empty() && (!coming || view.is_serving()) {
            let federated = self.partners.of(slots.iter().map(|slot| slot.entry.as_ref()));
            return Publication::Served(Arc::new(IdentityView {
                svids,
                bundle: bundle.clone(),
                federated_crls: self.partner_lists.of(federated.keys()),
                federated,
                crls: Arc::clone(&self.lists.delivered),
                revision,
            }));
        }
        if coming {
            return Publication::Pending;
        }
        let reason = slots
            .iter()
            .find_map(|slot| slot.last_error.clone())
            .unwrap_or_else(|| "no SVID could be issued".to_owned());
        unserved(Unserved::NothingValid { reason, entry_gone: false })
    }

    /// Puts a new entry into the views that it belongs to.
    pub(super) fn admit(&mut self, entry: &NodeEntry) {
        let mut joined = 0;
        for (_, view) in self.views.iter_mut().filter(|(key, _)| key.admits(entry)) {
            view.dirty |= view.entries.insert((entry.created_at, entry.id.clone()));
            joined += 1;
        }
        for _ in 0..joined {
            self.join(&entry.id);
        }
    }

    /// Moves a changed entry out of the views that it left and into those that it joined.
    pub(super) fn rematch(&mut self, before: &NodeEntry, after: &NodeEntry) {
        let mut left = 0;
        for view in self.views.values_mut() {
            if view.entries.remove(&(before.created_at, before.id.clone())) {
                view.dirty = true;
                left += 1;
            }
        }
        self.admit(after);
        for _ in 0..left {
            self.leave(&after.id);
        }
    }
}

/// Why a stream ends whose entry was deleted, no longer matches, or expired.
const fn no_entry(reason: String) -> Unserved {
    Unserved::NothingValid { reason, entry_gone: true }
}
