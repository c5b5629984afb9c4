//! The cache itself: entries, the SVIDs held for them, and the views that show them.
//!
//! It decides nothing by itself and waits for nobody: each method takes what happened and the clock's reading, and publishes what follows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trust_domains::clock::Reading;
use trust_domains::crl::CrlSet;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationAction, RotationPolicy, next_due, plan, retry_delay};
use trust_domains::plan::tainted::Tainted;
use trust_domains::wire::node::{MAX_ISSUE_BATCH, NodeEntry};
use trust_domains::{EntryId, Revision, TrustBundle, TrustDomain};

use super::index::SelectorIndex;
use super::lists::{Lists, Presented};
use super::partner_facts::PartnerFacts;
use super::partner_lists::PartnerLists;
use super::partners::{Federated, PartnerBundles};
use super::recency::Recency;
use super::settlement::{Matter, Settlement};
use super::slot::{Held, Slot, differs};
use super::subscription::{View, ViewKey};
use super::term::Term;
use super::view::WantedFacts;
use crate::issuing;

/// The most entries whose SVIDs are fetched ahead; with more, SVIDs are fetched on demand. A thousand take about 2 MB here and two requests.
pub(crate) const PREFETCH_LIMIT: usize = 1_000;

/// The most SVIDs that are kept although nobody uses them. Those in use are never counted, limited or dropped.
pub(crate) const UNUSED_LIMIT: usize = 1_000;

/// What one message of the server, or the sealed cache, says.
#[derive(Debug)]
pub(crate) struct Update {
    /// The commit up to which the update is complete.
    pub(crate) revision: Revision,
    /// Entries made or changed.
    pub(crate) upserted: Vec<NodeEntry>,
    /// Entries that are gone, or all that are not in `upserted`.
    pub(crate) removed: Removed,
    /// The bundle, if it changed.
    pub(crate) bundle: Option<TrustBundle>,
    /// The revocation lists of partners: those that changed, and in a snapshot all. An empty set withdraws them.
    pub(crate) federated_crls: Vec<(TrustDomain, CrlSet)>,
    /// All bundles of partners, if one of them changed, or who has them.
    pub(crate) federated: Option<Federated>,
    /// All authorities whose credentials are to be replaced, if the list changed.
    pub(crate) tainted: Option<Vec<AuthorityId>>,
    /// All revocation lists that the server delivers, if one of them changed.
    pub(crate) crls: Option<CrlSet>,
}

/// Which entries are gone.
#[derive(Debug)]
pub(crate) enum Removed {
    /// All that the update does not name: it is a snapshot.
    Others,
    /// These.
    These(Vec<EntryId>),
}

/// What came of asking for one SVID.
pub(crate) type Outcome = issuing::Outcome<Held>;

/// What the rotation plan asks for now, the most urgent first.
pub(crate) type Due = issuing::Due<Arc<NodeEntry>>;

/// Entries, SVIDs and views.
pub(crate) struct State {
    pub(super) shown: Option<Revision>,
    pub(super) bundle: Option<Arc<TrustBundle>>,
    pub(super) partners: PartnerBundles,
    pub(super) partner_lists: PartnerLists,
    pub(super) partner_facts: PartnerFacts,
    pub(super) lists: Lists,
    /// What is held came from a sealed cache without everything that this version keeps: the next stream starts with a snapshot.
    pub(super) incomplete: bool,
    /// Why everything was taken back, until the next sync.
    pub(super) withdrawn: Option<String>,
    /// How long this node is vouched for.
    pub(super) term: Term,
    pub(super) slots: HashMap<EntryId, Slot>,
    /// The entries for which an SVID shall be held.
    pub(super) kept: BTreeSet<EntryId>,
    pub(super) index: SelectorIndex,
    pub(super) unused: Recency,
    pub(super) views: HashMap<ViewKey, View>,
    pub(super) settlement: Settlement,
    /// Counts what the sealed cache would have to be written for.
    pub(super) changes: u64,
    pub(super) bundle_sender: watch::Sender<Option<Arc<TrustBundle>>>,
    /// Told of each change of any bundle.
    pub(super) trust_sender: watch::Sender<()>,
    pub(super) shown_sender: watch::Sender<Option<Revision>>,
    /// The authorities whose credentials are being replaced.
    pub(super) tainted: Tainted,
    pub(super) tainted_sender: watch::Sender<Tainted>,
    /// The revocation lists that are held.
    pub(super) lists_sender: watch::Sender<Arc<CrlSet>>,
    pub(super) wanted: Arc<WantedFacts>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            shown: None,
            bundle: None,
            partners: PartnerBundles::default(),
            partner_lists: PartnerLists::default(),
            partner_facts: PartnerFacts::default(),
            lists: Lists::default(),
            incomplete: false,
            withdrawn: None,
            term: Term::default(),
            slots: HashMap::new(),
            kept: BTreeSet::new(),
            index: SelectorIndex::default(),
            unused: Recency::default(),
            views: HashMap::new(),
            settlement: Settlement::default(),
            changes: 0,
            bundle_sender: watch::Sender::new(None),
            trust_sender: watch::Sender::new(()),
            shown_sender: watch::Sender::new(None),
            tainted: Tainted::default(),
            tainted_sender: watch::Sender::default(),
            lists_sender: watch::Sender::default(),
            wanted: Arc::default(),
        }
    }

    /// Applies what the server said, as one change.
    pub(crate) fn apply(&mut self, update: Update, now: Reading) {
        if matches!(update.removed, Removed::Others) {
            self.incomplete = false;
        }
        let gone = self.gone(&update);
        for id in &gone {
            self.remove(id);
        }
        self.settlement.arrived(update.revision);
        for entry in update.upserted {
            self.upsert(Arc::new(entry), update.revision);
        }
        self.prefetch(update.revision);
        let presented = match update.removed {
            Removed::Others => Presented::WithSnapshot,
            Removed::These(_) => Presented::WithDelta,
        };
        let lists_may_change = update.bundle.is_some() || update.crls.is_some();
        if let Some(bundle) = update.bundle {
            self.replace_bundle(bundle);
        }
        if lists_may_change {
            self.replace_lists(update.crls.map(presented), update.revision, now);
        }
        let are_all = matches!(update.removed, Removed::Others);
        self.replace_partners(update.federated, update.federated_crls, are_all, now);
        if let Some(tainted) = update.tainted {
            self.taint(tainted.into_iter().collect(), update.revision);
        }
        if self.shown.is_none() {
            // Who subscribed while the agent was starting is waiting for this, entitled or not.
            self.views.values_mut().for_each(|view| view.dirty = true);
        }
        self.changes += 1;
        self.shown = Some(update.revision);
        self.wanted = Arc::new(WantedFacts::of(self.slots.values().map(|slot| slot.entry.as_ref())));
        self.publish(now);
        self.shown_sender.send_replace(self.shown);
    }

    /// Notes that nothing up to this commit concerns this node.
    pub(crate) fn advance(&mut self, revision: Revision) {
        if self.shown.is_some_and(|shown| revision.is_after(shown)) {
            self.shown = Some(revision);
        }
    }

    /// Performs the withdrawals of the rotation plan, and returns its renewals, now under way.
    pub(crate) fn due(&mut self, now: Reading, policy: &RotationPolicy) -> Due {
        let states: Vec<_> = self.kept.iter().filter_map(|id| self.slots.get(id)).map(|slot| slot.state(now)).collect();
        let mut renew = Vec::new();
        let mut withdrawn = false;
        for action in plan(now, &states, policy) {
            match action {
                RotationAction::Renew { id, .. } => renew.push(id),
                RotationAction::Withdraw { id, .. } => {
                    self.withdraw(&id, now);
                    withdrawn = true;
                }
            }
        }
        if self.end_partner_lists(now) || withdrawn {
            self.changes += 1;
            self.publish(now);
        }
        self.follow_term(now);
        if renew.is_empty() {
            return Due {
                issue: Vec::new(),
                next: next_due(now, &states, policy).into_iter().chain(self.term.ends_at(now)).min(),
            };
        }
        renew.sort_by_key(|id| self.slots.get(id).map(Slot::urgency));
        renew.truncate(MAX_ISSUE_BATCH);
        Due {
            issue: renew.iter().filter_map(|id| self.begin(id)).collect(),
            next: Some(now.since_boot),
        }
    }

    /// Takes the times of the node's own SVID.
    pub(crate) fn vouch(&mut self, svid: HeldCredential, now: Reading) {
        self.term.begin(svid);
        self.follow_term(now);
    }

    /// Publishes everything anew when the node's own SVID has ended, or lasts again.
    fn follow_term(&mut self, now: Reading) {
        if self.term.turned(now) {
            self.views.values_mut().for_each(|view| view.dirty = true);
            self.publish(now);
        }
    }

    fn begin(&mut self, id: &EntryId) -> Option<Arc<NodeEntry>> {
        let slot = self.slots.get_mut(id)?;
        slot.in_flight = true;
        Some(slot.entry.clone())
    }

    fn withdraw(&mut self, id: &EntryId, now: Reading) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        if let Some(held) = &slot.held
            && slot.last_error.is_none()
        {
            slot.last_error = Some(format!("the SVID ended at {}", held.svid.expires_at));
        }
        slot.end_with_entry(now);
        slot.put(None, false, &self.tainted);
        self.mark(id);
    }

    /// Takes the outcomes of a batch, as one change. Each is with the entry as it was when the request was made.
    pub(crate) fn settle(&mut self, outcomes: Vec<(Arc<NodeEntry>, Outcome)>, jitter: Jitter, now: Reading) {
        for (asked, outcome) in outcomes {
            let Some(slot) = self.slots.get_mut(&asked.id) else { continue };
            slot.in_flight = false;
            let retry_at = now
                .since_boot
                .saturating_add(retry_delay(slot.failures + 1, Duration::from_secs(asked.x509_ttl_s), jitter));
            match outcome {
                Outcome::Issued(_) if !slot.kept => continue,
                Outcome::Issued(held) if slot.outshines(&held, now) => {
                    let (begins, spiffe_id) = (held.svid.issued_at, &slot.entry.spiffe_id);
                    tracing::warn!(%spiffe_id, issued_at = %begins, now = %now.wall, "the server's clock is ahead of this machine's, or this one is behind: the SVID that is valid by it is kept for now");
                    slot.fail(
                        format!(
                            "the SVID that came was issued at {begins}, and it is {} here: compare the clocks of server and node",
                            now.wall
                        ),
                        retry_at,
                    );
                }
                Outcome::Issued(held) => {
                    let stale = differs(&asked, &slot.entry) && (held.entry_revision != slot.entry.revision || held.svid.hint != slot.entry.hint);
                    // What was revoked while it was on its way is replaced again.
                    let stale = stale || self.lists.revoke(&held);
                    slot.put(Some(held), stale, &self.tainted);
                    slot.retry_now();
                    if slot.tainted {
                        // The next one may be the same: asking for it at once, again and again, would help nobody.
                        slot.fail("the server signs with an authority that it calls tainted".to_owned(), retry_at);
                    }
                    self.changes += 1;
                    if !slot.is_behind() {
                        self.settlement.settle(&Matter::Svid(asked.id.clone()));
                    }
                }
                Outcome::Unreached(error) => slot.fail(error, retry_at),
                Outcome::Refused(error) => {
                    slot.fail(error, retry_at);
                    self.settlement.settle(&Matter::Svid(asked.id.clone()));
                }
            }
            self.mark(&asked.id);
        }
        self.publish(now);
    }

    /// Lets every attempt that failed be made again now: the server is back.
    pub(crate) fn retry_now(&mut self) {
        for id in &self.kept {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.retry_at = Duration::ZERO;
            }
        }
    }

    /// Puts SVIDs of the sealed cache in place, after their entries were applied.
    pub(crate) fn restore(&mut self, held: Vec<Held>, now: Reading) {
        for held in held {
            let id = held.svid.entry_id.clone();
            let Some(slot) = self.slots.get_mut(&id).filter(|slot| !held.times.has_ended(now) && slot.held.is_none()) else {
                continue;
            };
            let stale = held.entry_revision != slot.entry.revision || self.lists.revoke(&held);
            slot.put(Some(held), stale, &self.tainted);
            slot.kept = true;
            if !slot.is_behind() {
                self.settlement.settle(&Matter::Svid(id.clone()));
            }
            if slot.views == 0 {
                self.unused.put(&id);
            }
            self.kept.insert(id.clone());
            self.mark(&id);
        }
        self.trim();
        self.publish(now);
    }

    /// Forgets everything: the node is no longer who it was. Subscribers are told why it was taken back, or that they wait for a first answer.
    pub(crate) fn clear(&mut self, why: Option<&str>, now: Reading) {
        self.withdrawn = why.map(str::to_owned);
        let ids: Vec<EntryId> = self.slots.keys().cloned().collect();
        for id in &ids {
            self.remove(id);
        }
        (self.shown, self.bundle) = (None, None);
        self.partners = PartnerBundles::default();
        self.partner_lists = PartnerLists::default();
        self.partner_facts = PartnerFacts::default();
        self.lists = Lists::default();
        self.incomplete = false;
        self.settlement.forget();
        self.changes += 1;
        self.views.values_mut().for_each(|view| view.dirty = true);
        self.publish(now);
        self.bundle_sender.send_replace(None);
        self.lists_sender.send_replace(Arc::default());
        self.trust_sender.send_replace(());
        self.shown_sender.send_replace(None);
    }

    fn gone(&self, update: &Update) -> Vec<EntryId> {
        match &update.removed {
            Removed::These(ids) => ids.clone(),
            Removed::Others => {
                let named: HashSet<&EntryId> = update.upserted.iter().map(|entry| &entry.id).collect();
                self.slots.keys().filter(|id| !named.contains(id)).cloned().collect()
            }
        }
    }

    fn remove(&mut self, id: &EntryId) {
        let Some(slot) = self.slots.remove(id) else { return };
        self.index.remove(&slot.entry);
        self.unused.take(id);
        self.kept.remove(id);
        self.settlement.settle(&Matter::Svid(id.clone()));
        if slot.views > 0 {
            for view in self.views.values_mut() {
                view.dirty |= view.entries.remove(&(slot.entry.created_at, id.clone()));
            }
        }
    }

    /// Puts an entry in place.
    fn upsert(&mut self, entry: Arc<NodeEntry>, revision: Revision) {
        let id = entry.id.clone();
        let changed = match self.slots.get_mut(&id) {
            Some(slot) => {
                let before = slot.entry.clone();
                let changed = slot.change(entry.clone());
                if !changed && before.federates_with != entry.federates_with {
                    // Its bundles change, and its SVID does not.
                    self.mark(&id);
                }
                if changed {
                    self.index.remove(&before);
                    self.index.insert(&entry);
                    self.rematch(&before, &entry);
                }
                changed
            }
            None => {
                self.index.insert(&entry);
                self.slots.insert(id.clone(), Slot::new(entry.clone()));
                self.admit(&entry);
                true
            }
        };
        if changed && self.slots.get(&id).is_some_and(|slot| slot.kept && slot.is_behind()) {
            self.settlement.expect(Matter::Svid(id), revision.counter);
        }
    }

    /// Keeps all entries while they are few.
    fn prefetch(&mut self, revision: Revision) {
        if self.slots.len() > PREFETCH_LIMIT {
            return;
        }
        let ahead: Vec<EntryId> = self.slots.iter().filter(|(_, slot)| !slot.kept).map(|(id, _)| id.clone()).collect();
        for id in &ahead {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.kept = true;
                if slot.held.is_none() {
                    self.settlement.expect(Matter::Svid(id.clone()), revision.counter);
                }
            }
            self.kept.insert(id.clone());
            self.unused.put(id);
        }
    }

    fn replace_bundle(&mut self, bundle: TrustBundle) {
        if self.bundle.as_deref() == Some(&bundle) {
            return;
        }
        self.changes += 1;
        self.bundle = Some(Arc::new(bundle));
        self.views.values_mut().for_each(|view| view.dirty = true);
        self.bundle_sender.send_replace(self.bundle.clone());
        self.trust_sender.send_replace(());
    }
}
