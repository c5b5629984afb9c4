//! The life of the authorities over a real store and journal, on a clock moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use conformance::covers;
use futures_util::future::BoxFuture;
use trust_domains::clock::Clock;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthoritiesState, AuthorityId, AuthorityKind, AuthorityProblem, Missing, Phase, Signing, plan};
use trust_domains::plan::clock_evidence::ClockEvidence;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::wire::audit::AuditEvent;
use trust_domains::{Revision, Timestamp, TrustBundle};

use super::held::Held;
use super::{Authorities, BundleWitness, KeyStore, LoadAuthoritiesError};
use crate::issuance::tests::world::{NobodyAway, World, settings, trust_domain, with_wit};
use crate::seal::SealedRecords;
use crate::store::{Commit, CommitError, Prefix, SharedStore, Snapshot, Store, StoreError, WatchStream};

mod clock;
mod crashes;
mod orders;
mod replicas;
mod roots;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn for_sixty_days_somebody_signs_and_the_roots_never_change() {
    let mut world = World::new().await;
    let roots = |world: &World| world.authorities.bundle().borrow().x509_authorities().to_vec();
    let before = roots(&world);
    let mut sequence = world.authorities.bundle().borrow().sequence();
    let (mut keys, mut known) = (std::collections::BTreeSet::new(), Vec::new());
    let mut issuers = std::collections::BTreeSet::new();
    for hour in 0..60 * 24 / 3 {
        world.clock.advance(HOUR * 3);
        world.authorities.look().await.unwrap();
        if hour % 100 == 99 {
            world = world.restarted().await;
        }
        let issuer = world.authorities.issuing(world.clock.now()).unwrap();
        let left = world.now().duration_until(issuer.not_after());
        assert!(left >= HOUR * 48, "{left:?} left: less than twice the longest life");
        issuers.insert(issuer.id().clone());
        let bundle = world.authorities.bundle().borrow().clone();
        let published: Vec<_> = bundle.jwt_authorities().iter().filter_map(|key| key.key_id().map(str::to_owned)).collect();
        assert!(bundle.sequence() >= sequence, "BUN-03");
        assert!(
            bundle.sequence() > sequence || published == known || known.is_empty(),
            "BUN-03: a change without a new sequence"
        );
        (sequence, known) = (bundle.sequence(), published);
        let key = world.authorities.jwt_key(world.clock.now()).unwrap();
        assert!(world.now().duration_until(key.not_after()) >= HOUR * 48, "less than twice the longest token");
        assert!(known.contains(&key.id().to_string()), "what signs is in the bundle");
        keys.insert(key.id().clone());
        assert!(world.authorities.states(world.now()).len() <= 8);
        assert_eq!(*world.authorities.problems().borrow(), Arc::from([]), "hour {}", hour * 3);
    }
    assert!(issuers.len() >= 12, "{} issuing CAs in sixty days", issuers.len());
    assert!(keys.len() >= 12, "{} JWT keys in sixty days", keys.len());
    assert_eq!(roots(&world), before, "neither changes a root");
}

#[tokio::test]
async fn each_step_is_recorded_with_its_reason() {
    let world = World::new().await;
    for _ in 0..20 {
        world.clock.advance(HOUR * 24);
        world.authorities.look().await.unwrap();
    }
    let taken = world.tap.taken.lock().unwrap();
    for action in ["authority_prepared", "authority_activated", "authority_retired", "authority_forgotten"] {
        let decision = taken.iter().find_map(|event| match event {
            AuditEvent::Decided(decision) if decision.action == action => Some(decision),
            _ => None,
        });
        let decision = decision.unwrap_or_else(|| panic!("no {action}"));
        assert_eq!(decision.actor, "spiffe://example.org/troth/server");
        assert!(decision.reason.is_some());
    }
}

#[tokio::test]
async fn who_signs_is_who_the_plan_names() {
    let world = World::new().await.restarted_with(with_wit()).await;
    world.authorities.look().await.unwrap();
    for _ in 0..30 {
        world.clock.advance(HOUR * 11);
        let (set, now) = (world.authorities.set(), world.clock.now());
        let clock = ClockEvidence {
            accepted: None,
            last_stored: None,
        };
        let state = AuthoritiesState::new(world.authorities.states(now.wall), clock);
        let named = |signing| match signing {
            Signing::With(id) => Some(id),
            Signing::Stopped => None,
        };
        let decided = plan(now, &state, &world.authorities.settings.policy);
        assert_eq!(set.signing(now.wall).map(|issuer| issuer.id().clone()), named(decided.signing));
        let key = set.token_key(AuthorityKind::Jwt, now.wall);
        assert_eq!(key.map(|key| key.id().clone()), named(decided.jwt_signing));
        let key = world.authorities.wit_key(now).ok();
        assert_eq!(key.map(|key| key.id().clone()), named(decided.wit_signing));
        world.authorities.look().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_was_away_for_a_month_signs_again_and_destroys_nothing() {
    let world = World::new().await;
    world.clock.advance(HOUR * 2);
    world.authorities.look().await.unwrap();
    world.clock.advance(HOUR * 24 * 30);
    let world = world.restarted().await;
    assert_eq!(world.authorities.issuing(world.clock.now()).unwrap_err().code(), Code::IssuerUnavailable);
    world.authorities.look().await.unwrap();
    world.authorities.issuing(world.clock.now()).unwrap();
    let problems = world.authorities.problems().borrow().clone();
    assert!(
        problems.iter().any(|problem| matches!(problem, AuthorityProblem::ClockJumped { .. })),
        "{problems:?}"
    );
    assert!(!world.authorities.may_destroy(world.clock.now()));
}

#[tokio::test]
async fn a_clock_set_back_destroys_nothing_and_makes_nothing() {
    let world = World::new().await;
    world.clock.advance(HOUR * 2);
    world.authorities.look().await.unwrap();
    let before = world.authorities.states(world.now());
    world.clock.step_wall(-5 * 3_600);
    world.authorities.look().await.unwrap();
    assert_eq!(world.authorities.states(world.now()), before);
    assert!(matches!(world.authorities.problems().borrow()[..], [AuthorityProblem::ClockBehind { .. }]));
}

#[tokio::test]
async fn a_tampered_authority_is_refused_at_load() {
    let world = World::new().await;
    let items = world.store.snapshot(Prefix::AUTHORITIES).await.unwrap().items;
    let (one, other) = (&items[0], &items[1]);
    world
        .store
        .commit(Commit::new("swapped").put(one.key.clone(), other.value.clone()))
        .await
        .unwrap();
    let loaded = load(&world, Arc::clone(&world.store)).await;
    let error = loaded.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::KeySourceUnavailable, "{error}");
}

#[covers("BUN-03", "BUN-04", "BUN-11")]
#[tokio::test]
async fn the_bundle_holds_the_root_and_no_issuing_ca() {
    let world = World::new().await;
    let bundle: Arc<TrustBundle> = world.authorities.bundle().borrow().clone();
    assert_eq!(bundle.trust_domain(), &trust_domain());
    let ders: Vec<_> = bundle.x509_ders().cloned().collect();
    assert_eq!(ders, [world.root()]);
    assert!(bundle.sequence().is_some_and(|sequence| sequence > 0));
    assert_eq!(
        bundle.refresh_hint(),
        Some(Duration::from_secs(300)),
        "a few minutes: partners learn of a new key in time"
    );
}

#[covers("BUN-03")]
#[tokio::test]
async fn the_sequence_of_the_bundle_grows_when_its_roots_are_written() {
    let world = World::new().await;
    let before = world.authorities.bundle().borrow().sequence();
    let items = world.store.snapshot(Prefix::AUTHORITIES).await.unwrap().items;
    let rewritten = items
        .into_iter()
        .fold(Commit::new("rewritten"), |commit, item| commit.put(item.key, item.value));
    world.store.commit(rewritten).await.unwrap();
    let after = load(&world, Arc::clone(&world.store)).await.unwrap().bundle().borrow().sequence();
    assert!(after > before, "{after:?} after {before:?}");
}

#[tokio::test]
async fn a_failure_at_any_commit_of_a_handover_is_made_good_at_the_next_look() {
    for failing in 0..14 {
        let world = World::new().await;
        let flaky = Arc::new(Flaky {
            store: Arc::clone(&world.store),
            until_failure: AtomicUsize::new(failing),
            loses_the_answer: false,
        });
        let authorities = load(&world, flaky.clone()).await.unwrap();
        for _ in 0..10 {
            world.clock.advance(HOUR * 12);
            let _ = authorities.look().await;
            authorities.look().await.unwrap();
            authorities.issuing(world.clock.now()).unwrap();
        }
        let active = authorities.states(world.now()).iter().filter(|state| state.phase == Phase::Active).count();
        assert_eq!(active, 3, "one root, one issuing CA and one JWT key, with commit {failing} failing");
        authorities.jwt_key(world.clock.now()).unwrap();
    }
}

async fn load(world: &World, store: SharedStore) -> Result<Arc<Authorities>, LoadAuthoritiesError> {
    let vault = world.vault();
    Authorities::load(
        trust_domain(),
        store,
        vault,
        world.tap.clone(),
        world.clock.shared(),
        settings(),
        Arc::new(NobodyAway),
    )
    .await
}

/// A store whose commits fail once, after so many: before it is performed, or after, when its answer is lost.
struct Flaky {
    store: SharedStore,
    until_failure: AtomicUsize,
    loses_the_answer: bool,
}

impl Store for Flaky {
    fn snapshot(&self, prefix: Prefix) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.store.snapshot(prefix)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        match self.until_failure.fetch_sub(1, Ordering::SeqCst) {
            0 => Box::pin(async move {
                if self.loses_the_answer {
                    self.store.commit(commit).await?;
                }
                Err(CommitError::Unavailable {
                    source: Arc::new(StoreError::Stopped),
                })
            }),
            _ => self.store.commit(commit),
        }
    }

    fn watch(&self, after: Revision) -> BoxFuture<'_, Result<WatchStream, StoreError>> {
        self.store.watch(after)
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }
}

#[tokio::test]
async fn a_directory_without_a_jwt_key_gets_one_that_signs_at_once_with_no_node_to_wait_for() {
    let world = World::new().await;
    let id = world.authorities.jwt_key(world.clock.now()).unwrap().id().clone();
    forget_token_keys(world.store.as_ref(), &world.authorities.records).await;
    let authorities = load(&world, Arc::clone(&world.store)).await.unwrap();
    assert_eq!(authorities.jwt_key(world.clock.now()).unwrap_err().code(), Code::IssuerUnavailable);
    let before = authorities.bundle().borrow().sequence();
    authorities.look().await.unwrap();
    let made = authorities.jwt_key(world.clock.now()).unwrap();
    assert_ne!(*made.id(), id);
    assert!(authorities.bundle().borrow().sequence() > before);
    let actions: Vec<_> = world.tap.taken.lock().unwrap().iter().filter_map(decided).collect();
    assert!(
        actions.ends_with(&["authority_prepared", "authority_published", "authority_activated"].map(str::to_owned)),
        "{actions:?}"
    );
}

/// Takes every key that signs tokens out of a store: what it was before there were any.
pub(crate) async fn forget_token_keys(store: &dyn Store, records: &SealedRecords) {
    for item in store.snapshot(Prefix::AUTHORITIES).await.unwrap().items {
        if Held::open(records, &KeyStore::default(), &item).unwrap().token().is_some() {
            store.commit(Commit::new("as_version_1").delete(item.key)).await.unwrap();
        }
    }
}

/// One node that has acknowledged everything, or nothing yet.
#[derive(Default)]
struct OneNode {
    knows: AtomicBool,
}

impl BundleWitness for OneNode {
    fn concerned(&self, _now: Timestamp) -> usize {
        1
    }

    fn list_out_since(&self, _: &AuthorityId) -> Option<u64> {
        Some(0)
    }

    fn missing_connected(&self, counter: u64, now: Timestamp) -> Missing {
        self.missing(counter, now)
    }

    fn missing(&self, _counter: u64, _now: Timestamp) -> Missing {
        let mut missing = Missing::default();
        if !self.knows.load(Ordering::SeqCst) {
            missing.push(&"web-1".parse().unwrap());
        }
        missing
    }
}

#[tokio::test]
async fn a_new_jwt_key_is_published_at_once_and_signs_when_the_nodes_know_it_or_the_deadline_passed() {
    for knows in [true, false] {
        let world = World::new().await;
        let node = Arc::new(OneNode::default());
        let authorities = Authorities::load(
            trust_domain(),
            Arc::clone(&world.store),
            world.vault(),
            world.tap.clone(),
            world.clock.shared(),
            settings(),
            node.clone(),
        )
        .await
        .unwrap();
        let first = authorities.jwt_key(world.clock.now()).unwrap().id().clone();
        let published = |authorities: &Authorities| authorities.bundle().borrow().jwt_authorities().len();
        while published(&authorities) == 1 {
            world.clock.advance(HOUR);
            authorities.look().await.unwrap();
        }
        // 108 h are left; it is due at 78 h.
        world.clock.advance(HOUR * 10);
        authorities.look().await.unwrap();
        assert_eq!(*authorities.jwt_key(world.clock.now()).unwrap().id(), first);
        node.knows.store(knows, Ordering::SeqCst);
        world.clock.advance(HOUR * 19);
        authorities.look().await.unwrap();
        assert_eq!(*authorities.jwt_key(world.clock.now()).unwrap().id(), first, "not before its time");
        world.clock.advance(HOUR);
        authorities.look().await.unwrap();
        let signs = authorities.jwt_key(world.clock.now()).unwrap().id().clone();
        assert_ne!(signs, first, "acknowledged, or a day has passed");
        assert_eq!(published(&authorities), 2, "tokens of the old one are still good");
        let taken = world.tap.taken.lock().unwrap();
        let reason = taken.iter().rev().find_map(|event| match event {
            AuditEvent::Decided(decision) if decision.action == "authority_activated" && decision.subject == signs.to_string() => decision.reason.clone(),
            _ => None,
        });
        assert_eq!(reason.unwrap().contains("1 node (web-1)"), !knows);
    }
}

#[tokio::test]
async fn a_key_of_rsa_takes_over_where_that_is_configured_and_comes_back_from_the_store() {
    let world = World::new().await;
    let mut rs256 = settings();
    rs256.policy = rs256.policy.with_jwt(rs256.policy.jwt().with_algorithm(Some(TokenAlgorithm::Rs256)));
    let load = async |settings| {
        let (store, vault) = (Arc::clone(&world.store), world.vault());
        let (recorder, clock) = (world.tap.clone(), world.clock.shared());
        let authorities = Authorities::load(trust_domain(), store, vault, recorder, clock, settings, Arc::new(NobodyAway))
            .await
            .unwrap();
        authorities.look().await.unwrap();
        authorities
    };
    let authorities = load(rs256.clone()).await;
    let made = authorities.jwt_key(world.clock.now()).unwrap();
    assert_eq!(made.algorithm(), TokenAlgorithm::Rs256);
    let signature = made.sign(b"message").unwrap();

    let again = load(rs256).await;
    let opened = again.jwt_key(world.clock.now()).unwrap();
    assert_eq!((opened.id(), opened.jwk()), (made.id(), made.jwk()));
    assert!(again.bundle().borrow().jwt_authorities().contains(made.jwk()));
    assert_eq!(opened.sign(b"message").unwrap(), signature, "PKCS #1 v1.5 signatures have no chance in them");
    assert_eq!(*again.problems().borrow(), Arc::from([]));

    let kept = load(settings()).await.jwt_key(world.clock.now()).unwrap();
    assert_eq!(kept.id(), made.id(), "nothing is configured: as it was");
    let mut es256 = settings();
    es256.policy = es256.policy.with_jwt(es256.policy.jwt().with_algorithm(Some(TokenAlgorithm::Es256)));
    let back = load(es256).await.jwt_key(world.clock.now()).unwrap();
    assert_eq!(back.algorithm(), TokenAlgorithm::Es256);
}

fn decided(event: &AuditEvent) -> Option<String> {
    match event {
        AuditEvent::Decided(decision) => Some(decision.action.clone()),
        _ => None,
    }
}

#[test]
fn debug_output_of_a_record_holds_no_key() {
    let stored = super::stored_key::StoredKey::Pkcs8(zeroize::Zeroizing::new(b"secret".to_vec()));
    assert_eq!(format!("{stored:?}"), "StoredKey(..)");
    let (key, _) = super::AuthorityKey::generate().unwrap();
    assert!(format!("{key:?}").starts_with("AuthorityKey { id: KeyId("));
}
