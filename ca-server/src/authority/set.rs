//! All authorities at one moment, as one whole value.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityState, Phase};
use trust_domains::public_key::KeyHash;
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

use super::held::{Held, ReadAuthorityError, authority_key};
use super::issuer::Issuer;
use super::order_record::OrderRecord;
use super::partners_seen::PartnersSeen;
use super::stored_key::StoredKey;
use super::token_key::TokenKey;
use super::upstream::{Cross, CrossSet};
use super::witness::BundleWitness;
use crate::store::Item;

/// All authorities of this replica.
#[derive(Debug, Clone)]
pub(super) struct AuthoritySet {
    held: Vec<Arc<Held>>,
    keys: HashSet<KeyHash>,
    orders: Vec<OrderRecord>,
    crosses: CrossSet,
    /// The commit that last wrote the turn: what the next one builds on.
    turn: Option<u64>,
}

impl AuthoritySet {
    pub(super) fn new(held: Vec<Arc<Held>>, mut orders: Vec<OrderRecord>, crosses: CrossSet, turn: Option<u64>) -> Self {
        let keys = held.iter().filter_map(|held| held.key_hash()).collect();
        orders.sort_by(|one, other| (one.ordered_at, &one.id).cmp(&(other.ordered_at, &other.id)));
        Self {
            held,
            keys,
            orders,
            crosses,
            turn,
        }
    }

    pub(super) fn turn(&self) -> Option<u64> {
        self.turn
    }

    /// Returns all authorities.
    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().map(|held| &**held)
    }

    pub(super) fn crosses(&self) -> &CrossSet {
        &self.crosses
    }

    /// Returns the cross-certificates whose upstream authority's root belongs to the bundle: as long as the root that they certify does.
    fn dedicated(&self) -> impl Iterator<Item = (&Cross, &[u8])> {
        let crosses = self.crosses.iter().filter(|cross| self.find(cross.root()).is_some_and(Held::is_published));
        crosses.filter_map(|cross| Some((cross, cross.dedicated_root()?)))
    }

    /// Returns the orders, the oldest first.
    pub(super) fn orders(&self) -> &[OrderRecord] {
        &self.orders
    }

    /// Returns the orders that go on.
    pub(super) fn running(&self) -> impl Iterator<Item = &OrderRecord> {
        self.orders.iter().filter(|order| order.finished_at.is_none())
    }

    /// Returns the authority that was opened from this very record.
    pub(super) fn unchanged(&self, item: &Item) -> Option<Arc<Held>> {
        let is_same = |held: &&Arc<Held>| held.modified == item.modified && authority_key(held.id()) == item.key;
        self.held.iter().find(is_same).map(Arc::clone)
    }

    /// Returns an authority, and with a root the issuing CAs under it: what goes when it goes.
    pub(super) fn with_those_under(&self, id: &AuthorityId) -> Vec<&Held> {
        let is_under = |held: &Held| held.ca().is_some_and(|(record, _)| record.root.as_ref() == Some(id));
        self.held().filter(|held| held.id() == id || is_under(held)).collect()
    }

    /// Returns what the plan looks at.
    pub(super) fn states(&self, witness: &dyn BundleWitness, partners: &PartnersSeen, now: Timestamp) -> Vec<AuthorityState> {
        let going: HashSet<_> = self.running().flat_map(|order| &order.replaces).collect();
        self.held().map(|held| held.state(witness, partners, now, going.contains(held.id()))).collect()
    }

    pub(super) fn find(&self, id: &AuthorityId) -> Option<&Held> {
        self.held().find(|held| held.id() == id)
    }

    /// Returns the issuing CA that signs now, the same that the plan names: one under the active root, or while there is none yet, one under an old root.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        let under = |roots: &[&AuthorityId]| {
            let issuing = self.active(AuthorityKind::X509Issuing, now).filter_map(Held::ca);
            longest(
                issuing
                    .filter(|(record, _)| record.root.as_ref().is_some_and(|root| roots.contains(&root)))
                    .map(|(_, issuer)| issuer),
            )
        };
        let old: Vec<_> = self.valid(AuthorityKind::X509Root, Phase::Old, now).map(Held::id).collect();
        self.root(now).and_then(|root| under(&[root.id()])).or_else(|| under(&old))
    }

    /// Returns the root that signs issuing CAs now.
    pub(super) fn root(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        longest(self.active(AuthorityKind::X509Root, now).filter_map(Held::ca).map(|(_, issuer)| issuer))
    }

    /// Returns the root above the issuing CA with this certificate, in DER.
    pub(super) fn root_above(&self, issuing: &[u8]) -> Option<Arc<[u8]>> {
        let (record, _) = self.held().filter_map(Held::ca).find(|(_, issuer)| **issuer.certificate() == *issuing)?;
        let (_, root) = self.find(record.root.as_ref()?)?.ca()?;
        Some(Arc::clone(root.certificate()))
    }

    /// Returns the roots that are prepared, active or old, in DER.
    pub(super) fn join_roots(&self) -> Vec<Arc<[u8]>> {
        let is_good = |held: &&Held| held.kind() == AuthorityKind::X509Root && matches!(held.phase(), Phase::Active | Phase::Old | Phase::Prepared);
        let roots = self.held().filter(is_good).filter_map(Held::ca);
        roots.map(|(_, issuer)| Arc::clone(issuer.certificate())).collect()
    }

    /// Returns the key that signs this kind of token now: the same that the plan names.
    pub(super) fn token_key(&self, kind: AuthorityKind, now: Timestamp) -> Option<&Arc<TokenKey>> {
        let keys = self.active(kind, now).filter_map(Held::token).map(|(_, key)| key);
        keys.max_by(|one, other| (one.not_after(), one.id()).cmp(&(other.not_after(), other.id())))
    }

    fn active(&self, kind: AuthorityKind, now: Timestamp) -> impl Iterator<Item = &Held> {
        self.valid(kind, Phase::Active, now)
    }

    fn valid(&self, kind: AuthorityKind, phase: Phase, now: Timestamp) -> impl Iterator<Item = &Held> {
        self.held()
            .filter(move |held| held.kind() == kind && held.phase() == phase && held.not_before() <= now && now < held.not_after())
    }

    pub(super) fn owns_key(&self, key: &KeyHash) -> bool {
        self.keys.contains(key)
    }

    /// Returns the keys that sign at some time from now on.
    pub(super) fn needed_keys(&self, now: Timestamp) -> Vec<&StoredKey> {
        let needed = |held: &&Arc<Held>| matches!(held.phase(), Phase::Prepared | Phase::Active) && now < held.not_after();
        self.held.iter().filter(needed).map(|held| held.stored_key()).collect()
    }

    /// Names the authorities whose keys are in a token, by kind and id.
    pub(super) fn keys_in_token(&self) -> Vec<String> {
        let held = self.held.iter().filter(|held| held.stored_key().in_token().is_some());
        held.map(|held| format!("{} {}", held.kind(), held.id())).collect()
    }

    /// Returns the issuing CAs and token keys whose credentials are to be replaced: those that are tainted or revoked, or under a root that is.
    pub(super) fn tainted(&self) -> Vec<AuthorityId> {
        let is_bad = |held: &Held| matches!(held.phase(), Phase::Tainted | Phase::Revoked);
        let is_root_bad = |held: &Held| {
            let root = held.ca().and_then(|(record, _)| self.find(record.root.as_ref()?));
            root.is_some_and(is_bad)
        };
        let signs_for_others = |held: &&Held| held.kind() != AuthorityKind::X509Root;
        let bad = self.held().filter(signs_for_others).filter(|held| is_bad(held) || is_root_bad(held));
        let mut ids: Vec<_> = bad.map(|held| held.id().clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns another authority of the bundle than these: what a commit that takes these away writes again, so that the sequence grows. One that waits for
    /// acknowledgements is taken last: they would be waited for anew.
    pub(super) fn another_published(&self, gone: &[&AuthorityId]) -> Option<&Held> {
        let others = self.held().filter(|held| !gone.contains(&held.id()) && held.is_published());
        others.min_by_key(|held| held.phase() != Phase::Active)
    }

    /// Returns the trust bundle: every root and token key that relying parties shall believe, the active one of a kind first, then by age.
    ///
    /// Its sequence is the counter of the commit that last wrote one of these. A commit that takes one away writes another one with it, so that
    /// the sequence grows with every change (BUN-03). The roots of upstream authorities that are dedicated to this trust domain come last.
    pub(super) fn bundle(&self, trust_domain: &TrustDomain, refresh_hint: Duration) -> Result<TrustBundle, ReadAuthorityError> {
        let mut published: Vec<&Held> = self.held().filter(|held| held.is_published()).collect();
        published.sort_by_key(|held| (held.phase() != Phase::Active, held.created_at()));
        let crossed = self.dedicated().map(|(cross, _)| cross.modified);
        let sequence = published.iter().map(|held| held.modified).chain(crossed).max().unwrap_or_default();
        let empty = TrustBundle::new(trust_domain.clone()).with_sequence(sequence).with_refresh_hint(refresh_hint);
        let own = published.into_iter().try_fold(empty, |bundle, held| held.add_to(bundle))?;
        self.dedicated().try_fold(own, |bundle, (cross, root)| {
            let added = bundle.with_x509_authority(root);
            added.map_err(|source| ReadAuthorityError::Root {
                id: cross.root().clone(),
                source,
            })
        })
    }
}

fn longest<'a>(issuers: impl Iterator<Item = &'a Arc<Issuer>>) -> Option<&'a Arc<Issuer>> {
    issuers.max_by(|one, other| (one.not_after(), one.id()).cmp(&(other.not_after(), other.id())))
}
