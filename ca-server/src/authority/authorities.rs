//! The authorities of a running server: who signs now, and what the bundle is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, Notify, watch};
use trust_domains::clock::SharedClock;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityPolicy, AuthorityProblem};
use trust_domains::plan::clock_evidence::ClockVerdict;
use trust_domains::public_key::KeyHash;
use trust_domains::x509::PermittedNames;
use trust_domains::{Reading, TrustBundle, TrustDomain};

use super::clock_guard::ClockGuard;
use super::issuer::Issuer;
use super::key::KeyError;
use super::key_store::{KeyStore, Vault};
use super::loading::{LoadAuthoritiesError, read_set, stored_time};
use super::partners_seen::PartnersSeen;
use super::set::AuthoritySet;
use super::token_key::TokenKey;
use super::unavailable::IssuerUnavailable;
use super::witness::BundleWitness;
use crate::issuance::Recorder;
use crate::seal::SealedRecords;
use crate::store::SharedStore;

/// How the authorities of this server live.
#[derive(Debug, Clone)]
pub struct AuthoritySettings {
    /// The bounds of the plan.
    pub policy: AuthorityPolicy,
    /// How far a verifier's clock may be behind: NotBefore of an authority lies this much back.
    pub skew: Duration,
    /// How often relying parties shall fetch the bundle.
    pub refresh_hint: Duration,
    /// What issuing CAs that are made from now on are constrained to.
    pub permitted: PermittedNames,
}

/// The authorities of a running server.
pub struct Authorities {
    pub(super) trust_domain: TrustDomain,
    pub(super) store: SharedStore,
    pub(super) records: SealedRecords,
    pub(super) keys: KeyStore,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) clock: SharedClock,
    pub(super) settings: AuthoritySettings,
    pub(super) witness: Arc<dyn BundleWitness>,
    pub(super) partners_seen: PartnersSeen,
    pub(super) guard: ClockGuard,
    pub(super) set: ArcSwap<AuthoritySet>,
    /// The upstream authority whose files the configuration names, by its key, once they could be read.
    pub(super) configured_upstream: ArcSwapOption<AuthorityId>,
    pub(super) bundle: watch::Sender<Arc<TrustBundle>>,
    pub(super) tainted: watch::Sender<Arc<[AuthorityId]>>,
    pub(super) problems: watch::Sender<Arc<[AuthorityProblem]>>,
    pub(super) crls_in_use: AtomicBool,
    /// One step at a time: of the loop, or of an operator.
    pub(super) looking: Mutex<()>,
    /// Wakes the loop: an operator ordered something.
    pub(super) wake: Notify,
    /// Wakes the loop of the cross-certificates: the authorities changed.
    pub(super) wake_upstream: Notify,
}

impl Authorities {
    /// Loads the authorities from the store.
    ///
    /// # Errors
    /// When the store cannot be read, or an authority in it cannot be opened or used.
    pub async fn load(
        trust_domain: TrustDomain,
        store: SharedStore,
        vault: Vault,
        recorder: Arc<dyn Recorder>,
        clock: SharedClock,
        settings: AuthoritySettings,
        witness: Arc<dyn BundleWitness>,
    ) -> Result<Arc<Self>, LoadAuthoritiesError> {
        let Vault { records, keys } = vault;
        let last_stored = stored_time(&store, &records).await?;
        let guard = ClockGuard::new(clock.now(), last_stored, *settings.policy.clock());
        let set = read_set(&store, &records, &keys, None).await?;
        let bundle = watch::Sender::new(Arc::new(set.bundle(&trust_domain, settings.refresh_hint)?));
        let tainted = watch::Sender::new(Arc::from(set.tainted()));
        let problems = watch::Sender::new(Arc::from([]));
        Ok(Arc::new(Self {
            trust_domain,
            store,
            records,
            keys,
            recorder,
            clock,
            settings,
            witness,
            partners_seen: PartnersSeen::default(),
            guard,
            set: ArcSwap::from_pointee(set),
            configured_upstream: ArcSwapOption::empty(),
            bundle,
            tainted,
            problems,
            crls_in_use: AtomicBool::new(false),
            looking: Mutex::new(()),
            wake: Notify::new(),
            wake_upstream: Notify::new(),
        }))
    }

    /// Returns what partners were seen to hold, for whoever sees it.
    #[must_use]
    pub fn partners_seen(&self) -> PartnersSeen {
        self.partners_seen.clone()
    }

    /// Returns the trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the issuing CA that signs now.
    ///
    /// # Errors
    /// When the clock is behind, or no issuing CA is active and valid.
    pub fn issuing(&self, now: Reading) -> Result<Arc<Issuer>, IssuerUnavailable> {
        self.refuse_behind(now)?;
        self.set
            .load()
            .signing(now.wall)
            .map(Arc::clone)
            .ok_or(IssuerUnavailable::NoneActive { now: now.wall })
    }

    /// Returns the key that signs JWT-SVIDs now.
    ///
    /// # Errors
    /// When the clock is behind, or no such key is active and valid: the first one of a trust domain signs when every node knows it.
    pub fn jwt_key(&self, now: Reading) -> Result<Arc<TokenKey>, IssuerUnavailable> {
        self.token_key(AuthorityKind::Jwt, now)
    }

    /// Returns the key that signs WIT-SVIDs now.
    ///
    /// # Errors
    /// When none are issued here, whatever keys there are from before; else as [`jwt_key`](Self::jwt_key).
    pub fn wit_key(&self, now: Reading) -> Result<Arc<TokenKey>, IssuerUnavailable> {
        match self.settings.policy.wit() {
            Some(_) => self.token_key(AuthorityKind::Wit, now),
            None => Err(IssuerUnavailable::WitDisabled),
        }
    }

    fn token_key(&self, kind: AuthorityKind, now: Reading) -> Result<Arc<TokenKey>, IssuerUnavailable> {
        self.refuse_behind(now)?;
        let none = IssuerUnavailable::NoTokenKey { kind, now: now.wall };
        self.set.load().token_key(kind, now.wall).map(Arc::clone).ok_or(none)
    }

    fn refuse_behind(&self, now: Reading) -> Result<(), IssuerUnavailable> {
        match self.guard.judge(now) {
            ClockVerdict::Behind { last_stored, by_s } => Err(IssuerUnavailable::ClockBehind { last_stored, by_s }),
            ClockVerdict::Agreed | ClockVerdict::Jumped { .. } => Ok(()),
        }
    }

    /// Returns whether steps that cannot be undone, as dropping a part of the journal, may be taken by the clock as it is.
    #[must_use]
    pub fn may_destroy(&self, now: Reading) -> bool {
        self.guard.judge(now).allows_destroying()
    }

    /// Returns the root above an issuing CA, both in DER; `None` when either is not held any more.
    #[must_use]
    pub fn root_above(&self, issuing: &[u8]) -> Option<Arc<[u8]>> {
        self.set.load().root_above(issuing)
    }

    #[cfg(test)]
    pub(crate) fn active_root(&self) -> Option<Arc<[u8]>> {
        self.set.load().root(self.clock.now().wall).map(|root| Arc::clone(root.certificate()))
    }

    /// Returns the roots that a new node shall believe the server by, in DER: the one that signs, the one that will, and one under which the server's own
    /// SVID may still be. One that is tainted is not among them, however long members still believe it.
    #[must_use]
    pub fn join_roots(&self) -> Vec<Arc<[u8]>> {
        self.set.load().join_roots()
    }

    /// Says whether relying parties are given CRLs: from then on an issuing CA signs when every node has its empty one.
    pub fn use_crls(&self, are_used: bool) {
        self.crls_in_use.store(are_used, Ordering::Relaxed);
    }

    /// Returns whether this is the key of an authority.
    #[must_use]
    pub fn owns_key(&self, key: &KeyHash) -> bool {
        self.set.load().owns_key(key)
    }

    #[cfg(test)]
    pub(crate) fn issuing_key(&self) -> trust_domains::public_key::PublicKey {
        *self.set.load().signing(self.clock.now().wall).unwrap().key().public_key()
    }

    #[cfg(test)]
    pub(crate) fn vault(&self) -> Vault {
        Vault {
            records: self.records.clone(),
            keys: self.keys.clone(),
        }
    }

    /// Returns the trust bundle, whole, and each later one.
    #[must_use]
    pub fn bundle(&self) -> watch::Receiver<Arc<TrustBundle>> {
        self.bundle.subscribe()
    }

    /// Returns the issuing CAs and token keys of which nothing shall be in use any more, by id and in the order of the ids, and each later list: what they
    /// signed is to be replaced now. A root stands in for every issuing CA under it.
    #[must_use]
    pub fn tainted(&self) -> watch::Receiver<Arc<[AuthorityId]>> {
        self.tainted.subscribe()
    }

    /// Returns what an operator must know about the authorities, and each change of it.
    #[must_use]
    pub fn problems(&self) -> watch::Receiver<Arc<[AuthorityProblem]>> {
        self.problems.subscribe()
    }

    /// Looks whether every key that signs from now on is where it should be: keys in this process are.
    ///
    /// # Errors
    /// When the token with the keys is away, or has not got one of them.
    pub async fn check_keys(&self) -> Result<(), KeyError> {
        let (set, now) = (self.set(), self.clock.now().wall);
        self.keys.check(&set.needed_keys(now)).await
    }

    /// Names the authorities whose keys are in a token: a backup does not have them.
    #[must_use]
    pub fn keys_in_token(&self) -> Vec<String> {
        self.set.load().keys_in_token()
    }

    /// Returns what is wrong with the token of the keys, and each change of it; `None` where none is used.
    #[must_use]
    pub fn key_trouble(&self) -> Option<watch::Receiver<Option<String>>> {
        self.keys.trouble()
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
