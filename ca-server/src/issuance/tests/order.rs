//! The order: what is refused, when, and that nothing is signed without its record.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use trust_domains::class::CredentialClass;
use trust_domains::entry::CertificateNames;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::audit::AuditEvent;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResult, KeyRequest, MAX_ISSUE_BATCH};
use trust_domains::x509::{PermittedNames, verify_svid};
use trust_domains::{SpiffeId, Timestamp, TrustBundle};

use super::world::{NOW, Node, World, new_key, node_id, request, trust_domain};
use crate::authority::create::Making;
use crate::authority::{AuthorityKey, Issuer, KeyStore, fresh_serial};
use crate::issuance::error::PrepareError;
use crate::issuance::prepare::{Leaf, prepare};
use crate::issuance::recorded::{record, record_one, sign_all};
use crate::issuance::stages::Cause;
use crate::issuance::{IssueError, Recorder};
use crate::journal::JournalError;
use crate::store::disk::Disk;
use trust_domains::plan::authority::Phase;

fn refusal(result: &IssueResult) -> Option<Code> {
    match result {
        IssueResult::Issued(_) => None,
        IssueResult::Refused { problem, .. } => Some(problem.code()),
    }
}

#[tokio::test]
async fn each_key_of_a_batch_is_refused_for_its_own_reason_and_the_others_are_certified() {
    let world = World::new().await.granting_at_most(CredentialClass::Medium);
    let entry = world.entry(|_| {});
    let foreign = world.entry_under(&node_id("b"), |_| {});
    let ended = world.entry(|draft| draft.expires_at = Some(Timestamp::from_unix(NOW)));
    let slow = world.entry(|draft| draft.class = Some(CredentialClass::Slow));
    let (twice, authority) = (new_key(), world.authorities.issuing_key());
    let mut off_curve = new_key().spki().to_vec();
    *off_curve.last_mut().unwrap() ^= 1;
    let mut compressed = new_key().spki().to_vec();
    compressed.truncate(59);
    let raw = |octets: Vec<u8>| KeyRequest {
        entry_id: entry.clone(),
        public_key: Base64(octets),
    };

    let cases = [
        ("good", request(&entry, &new_key()), None),
        ("a key", request(&entry, &twice), None),
        ("the same key again", request(&entry, &twice), Some(Code::KeyUnacceptable)),
        ("the node's own key", request(&entry, &world.node.key), Some(Code::KeyUnacceptable)),
        ("an authority's key", request(&entry, &authority), Some(Code::KeyUnacceptable)),
        ("a point off the curve", raw(off_curve), Some(Code::KeyUnacceptable)),
        ("half a key", raw(compressed), Some(Code::KeyUnacceptable)),
        ("no key", raw(Vec::new()), Some(Code::KeyUnacceptable)),
        ("an entry of another node", request(&foreign, &new_key()), Some(Code::EntryNotOfNode)),
        ("no entry at all", request(&"none".parse().unwrap(), &new_key()), Some(Code::EntryNotOfNode)),
        ("an entry that ended", request(&ended, &new_key()), Some(Code::EntryExpired)),
        ("a class that is not granted", request(&slow, &new_key()), Some(Code::ClassExceeded)),
        ("good, after all that", request(&entry, &new_key()), None),
    ];
    let response = world.issue(cases.iter().map(|(_, request, _)| request.clone()).collect()).await.unwrap();
    assert_eq!(response.results.len(), cases.len());
    for ((name, request, expected), result) in cases.iter().zip(&response.results) {
        assert_eq!(refusal(result), *expected, "{name}");
        let answered = match result {
            IssueResult::Issued(leaf) => &leaf.entry_id,
            IssueResult::Refused { entry_id, .. } => entry_id,
        };
        assert_eq!(*answered, request.entry_id, "{name}");
    }
    assert_eq!(response.issuers.len(), 1);
}

#[tokio::test]
async fn a_foreign_entry_and_no_entry_get_the_same_answer() {
    let world = World::new().await;
    let foreign = world.entry_under(&node_id("b"), |_| {});
    let nowhere = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let response = world.issue(vec![request(&foreign, &new_key()), request(&nowhere, &new_key())]).await.unwrap();
    let texts: Vec<String> = response
        .results
        .iter()
        .zip([foreign.as_str(), nowhere.as_str()])
        .map(|(result, id)| match result {
            IssueResult::Refused { problem, .. } => serde_json::to_string(problem).unwrap().replace(id, "ID"),
            IssueResult::Issued(_) => panic!("issued"),
        })
        .collect();
    assert_eq!(texts[0], texts[1]);
    assert!(response.issuers.is_empty());
}

#[tokio::test]
async fn a_registry_that_hands_out_foreign_entries_is_noticed() {
    let world = World::new().await;
    let foreign = world.entry_under(&node_id("b"), |_| {});
    world.known.confused.store(true, Ordering::SeqCst);
    let response = world.issue(vec![request(&foreign, &new_key())]).await.unwrap();
    assert_eq!(refusal(&response.results[0]), Some(Code::EntryNotOfNode));
}

#[tokio::test]
async fn a_node_that_may_not_ask_gets_nothing() {
    type Change = fn(&World);
    let cases: [(&str, Change, Code); 5] = [
        ("no record", World::forget_node, Code::NodeUnknown),
        ("banned", |world| world.put_node(record(world).with_ban(true)), Code::NodeBanned),
        ("expired", |world| world.know_node_until(&world.node, world.now()), Code::NodeExpired),
        (
            "no issuing CA left",
            |world| world.clock.advance(Duration::from_secs(8 * 86_400)),
            Code::IssuerUnavailable,
        ),
        (
            "another key on record",
            |world| {
                world.know_node(&Node {
                    id: world.node.id.clone(),
                    key: new_key(),
                });
            },
            Code::NodeUnknown,
        ),
    ];
    fn record(world: &World) -> trust_domains::node::NodeRecord {
        use crate::issuance::EntryLookup as _;
        (*world.known.node(&world.node.id).unwrap()).clone()
    }
    for (name, change, expected) in cases {
        let world = World::new().await;
        let entry = world.entry(|_| {});
        change(&world);
        let error = world.issue(vec![request(&entry, &new_key())]).await.unwrap_err();
        assert_eq!(error.code(), expected, "{name}: {error}");
        assert!(world.tap.taken.lock().unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let world = World::new().await;
    let entry = world.entry(|_| {});
    let batch = |size: usize| (0..size).map(|_| request(&entry, &new_key())).collect::<Vec<_>>();
    let error = world.issue(batch(MAX_ISSUE_BATCH + 1)).await.unwrap_err();
    assert!(matches!(
        error,
        IssueError::BatchTooLarge {
            limit: MAX_ISSUE_BATCH,
            actual: 501
        }
    ));
    let response = world.issue(batch(MAX_ISSUE_BATCH)).await.unwrap();
    let serials: HashSet<String> = response
        .results
        .iter()
        .map(|result| match result {
            IssueResult::Issued(leaf) => leaf.serial.to_string(),
            IssueResult::Refused { problem, .. } => panic!("{problem}"),
        })
        .collect();
    assert_eq!(serials.len(), MAX_ISSUE_BATCH);
    assert!(world.issue(Vec::new()).await.unwrap().results.is_empty());
}

#[tokio::test]
async fn everything_issued_is_in_the_journal_with_its_cause() {
    let world = World::new().await;
    let entry = world.entry(|_| {});
    let (leaf, _) = world.issued(&entry).await;
    let taken = world.tap.taken.lock().unwrap();
    let [AuditEvent::Issued(record)] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!((&record.serial, record.not_after), (&leaf.serial, leaf.expires_at));
    assert_eq!((record.entry.as_ref(), record.node.as_ref()), (Some(&entry), Some(&world.node.id)));
    assert_eq!(
        (record.actor.as_str(), record.trace_id.as_str()),
        (world.node.id.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!(
        record.issuer,
        world.authorities.issuing(trust_domains::Clock::now(&world.clock)).unwrap().id().to_string()
    );
}

#[tokio::test]
async fn a_journal_that_fails_means_that_nothing_is_issued() {
    let world = World::new().await;
    let entry = world.entry(|_| {});
    world.tap.fails.store(true, Ordering::SeqCst);
    let error = world.issue(vec![request(&entry, &new_key())]).await.unwrap_err();
    assert_eq!(error.code(), Code::JournalUnavailable);
    let prepared = world.issuance.prepare_node_svid(&world.node.id, &new_key(), "test", "").unwrap();
    assert_eq!(world.issuance.issue_prepared(prepared).await.unwrap_err().code(), Code::JournalUnavailable);
}

#[tokio::test]
async fn a_full_disk_refuses_issuing() {
    let world = World::with_disk(Disk::real().with_free_space(|_| Ok(1))).await;
    let entry = world.entry(|_| {});
    let error = world.issue(vec![request(&entry, &new_key())]).await.unwrap_err();
    assert_eq!(error.code(), Code::DiskFull);
    assert!(error.code().facts().retry);
}

#[tokio::test]
async fn a_clock_behind_the_stored_time_stops_signing_and_a_right_one_lets_it_go_on() {
    let world = World::new().await;
    let entry = world.entry(|_| {});
    world.clock.advance(Duration::from_secs(2 * 3_600));
    world.authorities.look().await.unwrap();
    world.clock.step_wall(-3_600);
    let error = world.issue(vec![request(&entry, &new_key())]).await.unwrap_err();
    assert_eq!(error.code(), Code::IssuerUnavailable);
    assert!(error.hint().contains("clock"), "{}", error.hint());
    world.clock.step_wall(3_600);
    world.issued(&entry).await;
}

/// A key that counts, and looks whether what it signs was recorded.
struct Watched {
    key: AuthorityKey,
    signed: AtomicUsize,
    recorded: Arc<Ledger>,
}

impl PublicKeyData for Watched {
    fn der_bytes(&self) -> &[u8] {
        self.key.public().der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.key.public().algorithm()
    }
}

impl SigningKey for Watched {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signed.fetch_add(1, Ordering::SeqCst);
        let serials = self.recorded.serials.lock().unwrap();
        let is_recorded = serials
            .iter()
            .any(|serial| message.windows(serial.len()).any(|window| window == serial.as_slice()));
        assert!(is_recorded, "the key was used before the record");
        self.key.sign(message)
    }
}

#[derive(Default)]
struct Ledger {
    serials: Mutex<Vec<Vec<u8>>>,
    fails: bool,
}

impl Recorder for Ledger {
    fn append(&self, events: Vec<AuditEvent>) -> BoxFuture<'_, Result<u64, JournalError>> {
        Box::pin(async move {
            if self.fails {
                return Err(JournalError::Unavailable);
            }
            let serials = events.iter().map(|event| match event {
                AuditEvent::Issued(record) => record.serial.as_bytes().to_vec(),
                other => panic!("{other:?}"),
            });
            self.serials.lock().unwrap().extend(serials);
            Ok(1)
        })
    }
}

fn watched(ledger: &Arc<Ledger>) -> (Arc<Watched>, Making<'_>) {
    let key = AuthorityKey::generate().unwrap().0;
    let watched = Arc::new(Watched {
        key,
        signed: AtomicUsize::new(0),
        recorded: Arc::clone(ledger),
    });
    let now = Timestamp::from_unix(NOW);
    let domain = Box::leak(Box::new(trust_domain()));
    let making = Making {
        trust_domain: domain,
        keys: Box::leak(Box::new(KeyStore::default())),
        recorder: ledger.as_ref(),
        now,
        skew: Duration::from_secs(60),
        not_after: now + Duration::from_secs(86_400),
        permitted: Box::leak(Box::default()),
        actor: "test",
    };
    (watched, making)
}

fn cause() -> Cause {
    Cause {
        entry: None,
        node: None,
        actor: "test".to_owned(),
        trace_id: String::new(),
    }
}

#[tokio::test]
async fn no_key_is_touched_before_the_record_and_none_without_it() {
    let ledger = Arc::new(Ledger::default());
    let (key, making) = watched(&ledger);
    let root = making.root(Phase::Active).await.unwrap();
    // The same certificate's issuer with the watched key: what the stages use is the key, whatever the certificate says.
    let issuer = Arc::new(Issuer::for_test(&root.issuer, AuthorityKey::from_signer(key.clone()).unwrap()));
    let (name, subject) = (SpiffeId::from_path(&trust_domain(), "/web").unwrap(), new_key());
    let names = CertificateNames::default();
    let leaf = || Leaf {
        spiffe_id: &name,
        public_key: &subject,
        ttl: Duration::from_secs(180),
        ends_with: None,
        names: &names,
    };
    let prepare_one = || prepare(&issuer, making.now, making.skew, &leaf(), cause()).unwrap();

    let batch = vec![prepare_one(), prepare_one(), prepare_one()];
    assert_eq!(key.signed.load(Ordering::SeqCst), 0, "preparing does not sign");
    let recorded = record(ledger.as_ref(), batch).await.unwrap();
    assert_eq!(key.signed.load(Ordering::SeqCst), 0, "recording does not sign");
    assert_eq!(sign_all(recorded, 1).await.unwrap().len(), 3);
    assert_eq!(key.signed.load(Ordering::SeqCst), 3);

    let failing = Ledger {
        fails: true,
        ..Ledger::default()
    };
    record(&failing, vec![prepare_one(), prepare_one()]).await.unwrap_err();
    record_one(&failing, prepare_one()).await.unwrap_err();
    assert_eq!(key.signed.load(Ordering::SeqCst), 3, "without a record nothing is signed");
}

proptest! {
    #[test]
    fn the_serials_of_an_issuer_begin_with_its_tag_and_do_not_repeat(count in 1usize..200) {
        let issuer = AuthorityKey::generate().unwrap().0.public().key_id();
        let serials: Vec<_> = (0..count).map(|_| fresh_serial(issuer).unwrap()).collect();
        for serial in &serials {
            prop_assert_eq!(serial.as_bytes().len(), 16);
            prop_assert_eq!(serial.as_bytes()[0], 1);
            prop_assert_eq!(serial.issuer_tag(), Some(issuer.serial_tag()));
        }
        prop_assert_eq!(serials.iter().map(|serial| serial.as_bytes().to_vec()).collect::<HashSet<_>>().len(), count);
    }

    #[test]
    fn nothing_outlives_its_issuer_its_entry_or_its_ttl(ttl in 1u64..200_000, age in 0u64..90_000, ends in proptest::option::of(1i64..200_000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ledger = Arc::new(Ledger::default());
        let (_, making) = watched(&ledger);
        let root = runtime.block_on(making.root(Phase::Active)).unwrap().issuer;
        let now = making.now + Duration::from_secs(age);
        let (name, subject): (SpiffeId, PublicKey) = (SpiffeId::from_path(&trust_domain(), "/web").unwrap(), new_key());
        let ends_with = ends.map(|ends| Timestamp::from_unix(now.unix() + ends));
        let leaf = Leaf { spiffe_id: &name, public_key: &subject, ttl: Duration::from_secs(ttl), ends_with, names: &CertificateNames::default() };
        if let Ok(prepared) = prepare(&root, now, making.skew, &leaf, cause()) {
            prop_assert!(prepared.not_after() <= root.not_after());
            prop_assert!(prepared.not_after() <= now + Duration::from_secs(ttl));
            prop_assert!(ends_with.is_none_or(|ends| prepared.not_after() <= ends));
            prop_assert!(prepared.not_after() > now);
        }
    }
}

#[tokio::test]
async fn a_name_outside_of_the_constraints_is_refused_before_the_key_is_touched_and_by_every_verifier() {
    let ledger = Arc::new(Ledger::default());
    let (_, making) = watched(&ledger);
    let permitted = PermittedNames::new(vec!["example.org".parse().unwrap()], vec!["10.0.0.0/8".parse().unwrap()]);
    let making = Making {
        permitted: &permitted,
        ..making
    };
    let root = making.root(Phase::Active).await.unwrap().issuer;
    let issuing = making.issuing(&root, Phase::Active).await.unwrap().issuer;
    assert_eq!(issuing.permitted().dns(), permitted.dns(), "what its certificate says counts");
    let (name, subject) = (SpiffeId::from_path(&trust_domain(), "/db").unwrap(), new_key());
    let signed = async |issuer: &Arc<Issuer>, dns: &str| {
        let names = CertificateNames::new(vec![dns.parse().unwrap()], Some("postgres".parse().unwrap())).unwrap();
        let leaf = Leaf {
            spiffe_id: &name,
            public_key: &subject,
            ttl: Duration::from_secs(180),
            ends_with: None,
            names: &names,
        };
        let prepared = prepare(issuer, making.now, making.skew, &leaf, cause())?;
        let recorded = record_one(ledger.as_ref(), prepared).await.unwrap();
        Ok::<_, PrepareError>(recorded.sign().await.unwrap().der)
    };
    let refused = signed(&issuing, "db.evil.test").await.unwrap_err();
    assert!(matches!(refused, PrepareError::NameNotPermitted { .. }), "{refused}");
    // The same CA without our check, as a thief of its key would have it.
    let thief = Arc::new(issuing.unconstrained_for_test());
    let bundle = TrustBundle::new(trust_domain()).with_x509_authority(root.certificate()).unwrap();
    for (issuer, dns, believed) in [
        (&issuing, "db.example.org", true),
        (&thief, "db.example.org", true),
        (&thief, "db.evil.test", false),
    ] {
        let chain = [signed(issuer, dns).await.unwrap().into(), issuing.certificate().to_vec().into()];
        assert_eq!(verify_svid(&chain, &bundle, making.now).is_ok(), believed, "webpki: {dns}");
    }
}
