//! The authorities of a running server: who signs now, what the bundle is, and the loop that keeps both so.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::SharedClock;
use trust_domains::plan::authority::{AuthoritiesState, AuthorityId, AuthorityKind, AuthorityPlan, AuthorityPolicy, AuthorityProblem, AuthorityState, plan};
use trust_domains::plan::clock_evidence::ClockVerdict;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::KeyHash;
use trust_domains::x509::PermittedNames;
use trust_domains::{Reading, Timestamp, TrustBundle, TrustDomain};

use super::clock_guard::ClockGuard;
use super::held::{Held, ReadAuthorityError};
use super::issuer::Issuer;
use super::key_store::{KeyStore, Vault};
use super::set::AuthoritySet;
use super::steps::StepError;
use super::token_key::TokenKey;
use super::witness::BundleWitness;
use crate::issuance::Recorder;
use crate::seal::{SealError, SealedRecords};
use crate::store::{Commit, Key, Prefix, SharedStore, StoreError};

/// How often the plan is asked; design: no loop sleeps longer without looking at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often the time is stored: a clock that was set back is noticed to this plus the skew after a restart.
const STORE_TIME_EVERY: Duration = Duration::from_secs(60);

/// How soon it is asked again while no token can be signed: the nodes are about to acknowledge the key that will.
const LOOK_SOON: Duration = Duration::from_secs(1);

/// How many times the plan is asked in one look. Preparing, publishing, activating, retiring and forgetting are five; a plan that never rests must not spin.
const MOST_ROUNDS: usize = 8;

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
    witness: Arc<dyn BundleWitness>,
    guard: ClockGuard,
    set: ArcSwap<AuthoritySet>,
    bundle: watch::Sender<Arc<TrustBundle>>,
    tainted: watch::Sender<Arc<[AuthorityId]>>,
    problems: watch::Sender<Arc<[AuthorityProblem]>>,
}

/// The authorities cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadAuthoritiesError {
    /// One of them cannot be used.
    #[error(transparent)]
    Authority(#[from] ReadAuthorityError),
    /// The store cannot be read.
    #[error("the authorities cannot be read")]
    Store(#[from] StoreError),
    /// The stored time cannot be opened.
    #[error("the stored time cannot be opened")]
    Time(#[from] SealError),
}

impl Coded for LoadAuthoritiesError {
    fn code(&self) -> Code {
        match self {
            Self::Authority(ReadAuthorityError::Seal { source, .. }) | Self::Time(source) => source.code(),
            Self::Authority(ReadAuthorityError::FormatUnknown { .. }) => Code::StoreFormatUnknown,
            Self::Authority(ReadAuthorityError::Issuer { .. } | ReadAuthorityError::Key { .. } | ReadAuthorityError::Root { .. }) => Code::Internal,
            Self::Store(error) => error.code(),
        }
    }
}

/// Nothing may be signed now.
#[derive(Debug, Error)]
pub enum IssuerUnavailable {
    /// The clock is behind what it was: what would be signed now was signed for later once.
    #[error("the clock is {by_s} s behind the last stored time {last_stored}")]
    ClockBehind {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds that are missing.
        by_s: i64,
    },
    /// No issuing CA is active and valid under the active root.
    #[error("no issuing CA is active and valid at {now}")]
    NoneActive {
        /// The moment, by the server's clock.
        now: Timestamp,
    },
    /// WIT-SVIDs are not issued here.
    #[error("this server does not issue WIT-SVIDs")]
    WitDisabled,
    /// No key that signs such tokens is active and valid.
    #[error("no {kind} key is active and valid at {now}")]
    NoTokenKey {
        /// What it would sign.
        kind: AuthorityKind,
        /// The moment, by the server's clock.
        now: Timestamp,
    },
}

impl Coded for IssuerUnavailable {
    fn code(&self) -> Code {
        match self {
            Self::ClockBehind { .. } | Self::NoTokenKey { .. } | Self::NoneActive { .. } => Code::IssuerUnavailable,
            Self::WitDisabled => Code::WitDisabled,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::ClockBehind { .. } => "look at the clock of the server's machine: signing goes on by itself once it is right".to_owned(),
            Self::NoTokenKey { .. } => "look at the server's health: a new key waits until every node knows it, at most for --ack-deadline".to_owned(),
            Self::NoneActive { .. } | Self::WitDisabled => self.code().facts().hint.to_owned(),
        }
    }
}

/// The last time that was stored while the clock was believed.
#[derive(Debug, Serialize, Deserialize)]
struct StoredTime {
    at: Timestamp,
}

fn stored_time_key() -> Key {
    Key::meta("time")
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
        let set = read_set(&store, &records, &keys).await?;
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
            guard,
            set: ArcSwap::from_pointee(set),
            bundle,
            tainted,
            problems,
        }))
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

    /// Returns the root above the issuing CA that signs now, in DER; `None` when no root is active and valid.
    #[must_use]
    pub fn active_root(&self) -> Option<Arc<[u8]>> {
        self.set.load().root(self.clock.now().wall).map(|root| Arc::clone(root.certificate()))
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

    /// Performs the plan whenever there is something to do, until shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, code = %error.code(), cause = error.cause(), "a step in the life of an authority failed; it is tried again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    /// Asks the plan and performs it until nothing is left to do; returns what is wrong then.
    ///
    /// # Errors
    /// When a step cannot be performed: everything before it is done, and the next look goes on from there.
    pub async fn look(&self) -> Result<(), StepError> {
        for _ in 0..MOST_ROUNDS {
            let due = self.plan();
            self.publish_problems(due.problems);
            if due.actions.is_empty() {
                break;
            }
            for action in due.actions {
                self.perform(action).await?;
            }
        }
        self.store_time().await
    }

    fn pause(&self) -> Duration {
        let (set, now) = (self.set.load(), self.clock.now().wall);
        let wit = self.settings.policy.wit().map(|_| AuthorityKind::Wit);
        let mut signed = [AuthorityKind::Jwt].into_iter().chain(wit);
        match signed.all(|kind| set.token_key(kind, now).is_some()) {
            true => LOOK_EVERY,
            false => LOOK_SOON,
        }
    }

    /// Returns the authorities as the plan sees them.
    pub(super) fn states(&self, now: Timestamp) -> Vec<AuthorityState> {
        self.set.load().states(self.witness.as_ref(), now)
    }

    fn plan(&self) -> AuthorityPlan {
        let now = self.clock.now();
        self.guard.judge(now);
        let state = AuthoritiesState {
            authorities: self.states(now.wall),
            clock: self.guard.evidence(),
        };
        plan(now, &state, &self.settings.policy)
    }

    fn publish_problems(&self, problems: Vec<AuthorityProblem>) {
        self.problems.send_if_modified(|published| {
            let changed = **published != *problems;
            if changed {
                problems.iter().for_each(|problem| tracing::warn!(problem = problem.word(), "{problem}"));
                *published = problems.into();
            }
            changed
        });
    }

    pub(super) fn set(&self) -> Arc<AuthoritySet> {
        self.set.load_full()
    }

    /// Reads the authorities again after a commit, and publishes what changed.
    pub(super) async fn reload(&self) -> Result<(), LoadAuthoritiesError> {
        let set = read_set(&self.store, &self.records, &self.keys).await?;
        let bundle = set.bundle(&self.trust_domain, self.settings.refresh_hint)?;
        let tainted = set.tainted();
        self.set.store(Arc::new(set));
        self.bundle.send_if_modified(|published| {
            let changed = **published != bundle;
            if changed {
                *published = Arc::new(bundle);
            }
            changed
        });
        self.tainted.send_if_modified(|published| {
            let changed = **published != *tainted;
            if changed {
                *published = tainted.into();
            }
            changed
        });
        Ok(())
    }

    async fn store_time(&self) -> Result<(), StepError> {
        let now = self.clock.now();
        let is_old = self.guard.evidence().last_stored.is_none_or(|stored| stored + STORE_TIME_EVERY <= now.wall);
        if !is_old || !self.guard.may_store(now) {
            return Ok(());
        }
        let mut commit = Commit::new("time_stored");
        commit.writes.push(self.records.put(stored_time_key(), &StoredTime { at: now.wall })?);
        self.store.commit(commit).await?;
        self.guard.note_stored(now.wall);
        Ok(())
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

async fn read_set(store: &SharedStore, records: &SealedRecords, keys: &KeyStore) -> Result<AuthoritySet, LoadAuthoritiesError> {
    let snapshot = store.snapshot(Prefix::AUTHORITIES).await?;
    let held = snapshot
        .items
        .iter()
        .map(|item| Held::open(records, keys, item))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(AuthoritySet::new(held))
}

async fn stored_time(store: &SharedStore, records: &SealedRecords) -> Result<Option<Timestamp>, LoadAuthoritiesError> {
    let place = stored_time_key();
    let snapshot = store.snapshot(Prefix::META).await?;
    let item = snapshot.items.iter().find(|item| item.key == place);
    Ok(item.map(|item| records.open_item::<StoredTime>(item)).transpose()?.map(|stored| stored.at))
}
