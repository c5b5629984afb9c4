//! All authorities at one moment, as one whole value.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityState, Phase};
use trust_domains::public_key::KeyHash;
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

use super::held::{Held, ReadAuthorityError};
use super::issuer::Issuer;
use super::token_key::TokenKey;
use super::witness::BundleWitness;

/// All authorities of this replica.
#[derive(Debug)]
pub(super) struct AuthoritySet {
    held: Vec<Held>,
    keys: HashSet<KeyHash>,
}

impl AuthoritySet {
    pub(super) fn new(held: Vec<Held>) -> Self {
        let keys = held.iter().filter_map(Held::key_hash).collect();
        Self { held, keys }
    }

    /// Returns what the plan looks at.
    pub(super) fn states(&self, witness: &dyn BundleWitness, now: Timestamp) -> Vec<AuthorityState> {
        self.held.iter().map(|held| held.state(witness, now)).collect()
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    pub(super) fn find(&self, id: &AuthorityId) -> Option<&Held> {
        self.held.iter().find(|held| held.id() == id)
    }

    /// Returns the issuing CA that signs now: the same that the plan names.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        let root = self.root(now)?;
        let usable = self
            .active(AuthorityKind::X509Issuing, now)
            .filter_map(Held::ca)
            .filter(|(record, _)| record.root.as_ref() == Some(root.id()));
        longest(usable.map(|(_, issuer)| issuer))
    }

    /// Returns the root that signs issuing CAs now.
    pub(super) fn root(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        longest(self.active(AuthorityKind::X509Root, now).filter_map(Held::ca).map(|(_, issuer)| issuer))
    }

    /// Returns the key that signs this kind of token now: the same that the plan names.
    pub(super) fn token_key(&self, kind: AuthorityKind, now: Timestamp) -> Option<&Arc<TokenKey>> {
        let keys = self.active(kind, now).filter_map(Held::token).map(|(_, key)| key);
        keys.max_by(|one, other| (one.not_after(), one.id()).cmp(&(other.not_after(), other.id())))
    }

    fn active(&self, kind: AuthorityKind, now: Timestamp) -> impl Iterator<Item = &Held> {
        self.held
            .iter()
            .filter(move |held| held.kind() == kind && held.phase() == Phase::Active && held.not_before() <= now && now < held.not_after())
    }

    pub(super) fn owns_key(&self, key: &KeyHash) -> bool {
        self.keys.contains(key)
    }

    /// Returns the issuing CAs and token keys whose credentials are to be replaced: those that are tainted or revoked, or under a root that is.
    pub(super) fn tainted(&self) -> Vec<AuthorityId> {
        let is_bad = |held: &Held| matches!(held.phase(), Phase::Tainted | Phase::Revoked);
        let is_root_bad = |held: &Held| {
            let root = held.ca().and_then(|(record, _)| self.find(record.root.as_ref()?));
            root.is_some_and(is_bad)
        };
        let signs_for_others = |held: &&Held| held.kind() != AuthorityKind::X509Root;
        let bad = self.held.iter().filter(signs_for_others).filter(|held| is_bad(held) || is_root_bad(held));
        let mut ids: Vec<_> = bad.map(|held| held.id().clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns another authority of the bundle than this one: what a commit that takes this one away writes again, so that the sequence grows.
    pub(super) fn another_published(&self, id: &AuthorityId) -> Option<&Held> {
        self.held.iter().find(|held| held.id() != id && held.is_published())
    }

    /// Returns the trust bundle: every root and token key that relying parties shall believe, the active one of a kind first, then by age.
    ///
    /// Its sequence is the counter of the commit that last wrote one of these. A commit that takes one away writes another one with it, so that
    /// the sequence grows with every change (BUN-03).
    pub(super) fn bundle(&self, trust_domain: &TrustDomain, refresh_hint: Duration) -> Result<TrustBundle, ReadAuthorityError> {
        let mut published: Vec<&Held> = self.held.iter().filter(|held| held.is_published()).collect();
        published.sort_by_key(|held| (held.phase() != Phase::Active, held.created_at()));
        let sequence = published.iter().map(|held| held.modified).max().unwrap_or_default();
        let empty = TrustBundle::new(trust_domain.clone()).with_sequence(sequence).with_refresh_hint(refresh_hint);
        published.into_iter().try_fold(empty, |bundle, held| held.add_to(bundle))
    }
}

fn longest<'a>(issuers: impl Iterator<Item = &'a Arc<Issuer>>) -> Option<&'a Arc<Issuer>> {
    issuers.max_by(|one, other| (one.not_after(), one.id()).cmp(&(other.not_after(), other.id())))
}
