//! The revocation lists of this trust domain: which are held, and which of them are delivered.
//!
//! - What is delivered is complete (a list for each root of the bundle, and for each issuing CA that has not ended) or nothing: programs refuse good peers over a
//!   missing list. Between a new root and its list what was delivered stays.
//! - A list that is held is never replaced by one with a lower number: whoever replays an old one, or restores an old backup, revokes nothing less by it.
//! - A server of another epoch was restored, and may have forgotten lists, or what was on them: those stay too, until it shows that it has them.
//! - Where the server has less than is held, the agent hands back what it holds, once for each stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::clock::Reading;
use trust_domains::crl::{Crl, CrlIssuer, CrlSet};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::wire::crls::CrlsWhole;
use trust_domains::x509::Certificate;
use trust_domains::{EntryId, Revision, Timestamp, TrustBundle};

use super::cache::SvidCache;
use super::settlement::Matter;
use super::slot::Held;
use super::state::State;

/// Revocation lists as they are delivered: complete, or none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RevocationLists {
    ders: Vec<Bytes>,
    set: CrlSet,
}

impl RevocationLists {
    /// Returns the lists of a set.
    #[must_use]
    pub fn of(set: &CrlSet) -> Self {
        Self {
            ders: set.lists().map(|(_, crl)| Bytes::from_owner(Arc::clone(crl.der()))).collect(),
            set: set.clone(),
        }
    }

    /// Returns them as they were verified.
    #[must_use]
    pub const fn set(&self) -> &CrlSet {
        &self.set
    }

    fn cas(&self) -> BTreeSet<&AuthorityId> {
        self.set.lists().map(|(ca, _)| ca.id()).collect()
    }

    /// Returns the lists in DER, in the order of their CAs' identifiers.
    #[must_use]
    pub fn ders(&self) -> &[Bytes] {
        &self.ders
    }

    /// Returns how many octets they have in DER.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.ders.iter().map(Bytes::len).sum()
    }

    /// Returns whether a CA of both has the same key identifier.
    #[must_use]
    pub fn shares_a_ca_with(&self, other: &Self) -> bool {
        !self.cas().is_disjoint(&other.cas())
    }

    /// Returns whether a CA has a list here and none among others.
    #[must_use]
    pub fn add_a_ca_to(&self, others: &Self) -> bool {
        !self.cas().is_subset(&others.cas())
    }

    /// Returns whether none are delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ders.is_empty()
    }

    /// Returns the lists in PEM (RFC 7468 section 6), one after the other.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let blocks: Vec<_> = self.ders.iter().map(|der| pem::Pem::new("X509 CRL", der.to_vec())).collect();
        pem::encode_many_config(&blocks, config)
    }
}

/// The lists that are held.
#[derive(Default)]
pub(super) struct Lists {
    held: Arc<CrlSet>,
    /// The epoch of the server that had all of them.
    epoch: Option<u64>,
    /// The server has less than is held.
    behind: Behind,
    pub(super) delivered: Arc<RevocationLists>,
}

/// The lists over a restart.
#[derive(Debug)]
pub(super) struct KeptLists {
    pub(super) held: Arc<CrlSet>,
    pub(super) epoch: Option<u64>,
    pub(super) are_the_servers: bool,
}

/// The lists that the server delivers.
pub(super) enum Presented {
    /// As a commit changed them.
    WithDelta(CrlSet),
    /// As the state of a new stream has them.
    WithSnapshot(CrlSet),
}

/// Whether the server's lists are older than those that are held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Behind {
    /// They are, and it was told, or will be with the next stream.
    HandedBack,
    /// They are not.
    #[default]
    No,
    /// They are, and it is to be told.
    ToHandBack,
}

impl Lists {
    /// Takes what the server delivers at a commit: all of it, or nothing when it delivers no lists.
    fn take(&mut self, presented: Presented, revision: Revision, bundle: Option<&TrustBundle>, now: Timestamp) {
        let (presented, if_behind) = match presented {
            Presented::WithSnapshot(set) => (set, Behind::ToHandBack),
            // The snapshot before it was the occasion to hand lists back; the next one will be, if it still has to be.
            Presented::WithDelta(set) => (set, Behind::HandedBack),
        };
        let same_epoch = self.epoch.is_none_or(|epoch| epoch == revision.epoch);
        let stays = |issuer: &CrlIssuer| {
            let belongs = bundle.is_some_and(|bundle| issuer.is_root_of(bundle) || issuer.is_signed_by_root_of(bundle));
            !same_epoch && belongs && issuer.not_after() > now
        };
        let (newest, behind) = newest(&self.held, &presented, same_epoch, stays);
        if !behind {
            self.epoch = Some(revision.epoch);
        }
        self.behind = if behind { if_behind } else { Behind::No };
        self.held = Arc::new(newest);
    }

    /// Puts in place what is complete for the bundle. Returns whether that changes what is delivered.
    fn deliver(&mut self, bundle: &TrustBundle) -> bool {
        let set = self.held.under(bundle);
        if !set.is_empty() && set.roots_without_list(bundle).next().is_some() {
            return false;
        }
        let lists = RevocationLists::of(&set);
        let changed = lists != *self.delivered;
        if changed {
            self.delivered = Arc::new(lists);
        }
        changed
    }

    /// Returns whether a certificate that is held is on a list.
    pub(super) fn revoke(&self, held: &Held) -> bool {
        let serial = &held.svid.serial;
        if !self.held.lists().any(|(_, crl)| crl.revokes(serial)) {
            return false;
        }
        let leaf = held.svid.chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
        let issuer = leaf.and_then(|leaf| AuthorityId::from_key_id(leaf.authority_key_id()?));
        issuer.is_some_and(|issuer| self.held.revokes(&issuer, serial))
    }

    /// Returns whether they are those that the server has: only then a change of them can be followed.
    pub(super) fn are_the_servers(&self) -> bool {
        self.behind == Behind::No
    }

    /// Returns what is worth keeping over a restart.
    pub(super) fn worth_keeping(&self) -> KeptLists {
        KeptLists {
            held: Arc::clone(&self.held),
            epoch: self.epoch,
            are_the_servers: self.are_the_servers(),
        }
    }

    /// Puts in place of which epoch lists of the sealed cache are.
    pub(super) fn restore_epoch(&mut self, epoch: Option<u64>) {
        self.epoch = epoch;
    }
}

/// Returns for each CA the newest list of both, and whether the second set has less than that.
fn newest(held: &CrlSet, presented: &CrlSet, same_epoch: bool, stays: impl Fn(&CrlIssuer) -> bool) -> (CrlSet, bool) {
    let is_older = |issuer: &CrlIssuer, crl: &Crl| {
        let before = held.list_of(issuer.id())?;
        let older = crl.number() < before.number() || (crl.number() == before.number() && crl != before);
        // A restored server goes on above every number, whatever it forgot: there only what a list says counts.
        let forgot = !same_epoch && before.revoked().any(|revoked| !crl.revokes(&revoked.serial));
        (older || forgot).then(|| before.clone())
    };
    let mut behind = false;
    let mut lists: Vec<(CrlIssuer, Crl)> = Vec::with_capacity(presented.len());
    for (issuer, crl) in presented.lists() {
        let before = is_older(issuer, crl);
        behind |= before.is_some();
        lists.push((issuer.clone(), before.unwrap_or_else(|| crl.clone())));
    }
    for (issuer, crl) in held.lists() {
        if presented.list_of(issuer.id()).is_none() && stays(issuer) {
            behind = true;
            lists.push((issuer.clone(), crl.clone()));
        }
    }
    if !behind {
        return (presented.clone(), false);
    }
    // Each was verified when it came, so only too many can be refused: then those that the server has count.
    CrlSet::new(lists).map_or_else(|_| (presented.clone(), true), |set| (set, true))
}

impl State {
    /// Takes the lists and the bundle of a commit: what is complete is delivered, and what of the own is on a list is due at once.
    pub(super) fn replace_lists(&mut self, presented: Option<Presented>, revision: Revision, now: Reading) {
        let bundle = self.bundle.clone();
        let changed = presented.is_some();
        if let Some(presented) = presented {
            self.lists.take(presented, revision, bundle.as_deref(), now.wall);
        }
        if bundle.is_some_and(|bundle| self.lists.deliver(&bundle)) {
            self.changes += 1;
            self.views.values_mut().for_each(|view| view.dirty = true);
        }
        if changed {
            self.replace_revoked(revision);
            self.lists_sender.send_replace(Arc::clone(&self.lists.held));
        }
    }

    /// Makes every SVID that is on a list due now; it is shown until another takes its place.
    fn replace_revoked(&mut self, revision: Revision) {
        let ids: Vec<EntryId> = self.kept.iter().cloned().collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            if slot.held.as_ref().is_some_and(|held| self.lists.revoke(held)) {
                slot.stale = true;
                slot.retry_now();
                self.settlement.expect(Matter::Svid(id), revision.counter);
            }
        }
    }
}

impl SvidCache {
    /// Returns the revocation lists that are held, as they change.
    #[must_use]
    pub(crate) fn lists(&self) -> tokio::sync::watch::Receiver<Arc<CrlSet>> {
        self.read(|state| state.lists_sender.subscribe())
    }

    /// Returns the lists that the server is to be told of, once.
    pub(crate) fn lists_to_hand_back(&self) -> Option<CrlsWhole> {
        self.read(|state| {
            let told = state.lists.behind == Behind::ToHandBack;
            told.then(|| {
                state.lists.behind = Behind::HandedBack;
                state.lists.held.whole()
            })
        })
    }
}

#[cfg(test)]
mod tests;
