//! What an agent finds again after a restart.

use trust_domains::{SpiffeId, Timestamp};

use super::form::SavedUnreadable;
use super::*;

mod rules;
use crate::svids::partners::Federated;
use crate::svids::state::Update;
use crate::svids::testing::{TTL, bundle, bundle_of, entry, issue_all, revision, snapshot, with_empty_list};
use trust_domains::clock::{Clock, ManualClock};

fn records(dir: &tempfile::TempDir) -> SealedRecords {
    let data = dir.path().join("agent");
    platform::files::ensure_private_dir(&data, 0o700).unwrap();
    SealedRecords::open(&data, &platform::sealing::KeySourceSpec::File(dir.path().join("key"))).unwrap()
}

fn node() -> SpiffeId {
    "spiffe://td.example/troth/agent/join_token/web-1".parse().unwrap()
}

fn filled(clock: &ManualClock) -> SvidCache {
    let cache = SvidCache::new(clock.shared());
    cache.apply(snapshot(7, vec![entry("a", 1), entry("b", 2)]));
    assert_eq!(issue_all(&cache, clock.now()), 2);
    cache
}

/// The machine of these tests.
const HERE: Option<MachineTag> = Some(MachineTag([7; 16]));

fn save(cache: &SvidCache, records: &SealedRecords, clock: &ManualClock) {
    sealed_by(cache, records, &node(), HERE, clock.now().wall);
}

#[tokio::test]
async fn a_restarted_agent_serves_what_it_held() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    clock.advance(TTL / 4);
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!(cache.resume_after(), Some(revision(7)));
    let proven = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
    let view = cache.subscribe(proven).next().await.unwrap();
    assert_eq!(view.svids.len(), 2);
    assert_eq!(&*view.svids[0].key_pkcs8, b"key");
    assert_eq!(*view.bundle, bundle());
    assert!(
        cache.due(&trust_domains::plan::rotation::RotationPolicy::default()).issue.is_empty(),
        "nothing is asked for twice"
    );
}

#[tokio::test]
async fn revocation_lists_are_delivered_after_a_restart_without_the_server() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    let (bundle, set) = with_empty_list("td.example");
    let cache = SvidCache::new(clock.shared());
    let update = Update {
        bundle: Some(bundle),
        crls: Some(set.clone()),
        ..snapshot(7, vec![entry("a", 1)])
    };
    cache.apply(update);
    issue_all(&cache, clock.now());
    save(&cache, &records(&dir), &clock);
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!((**cache.lists().borrow()).clone(), set);
    assert_eq!(cache.resume_after(), Some(revision(7)));
    let proven = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
    assert_eq!(cache.subscribe(proven).next().await.unwrap().crls.ders().len(), 1);
    assert!(cache.lists_to_hand_back().is_none());
}

#[test]
fn svids_that_ended_meanwhile_are_not_taken_up() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    clock.advance(TTL * 2);
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!((cache.svid_count(), cache.entry_count()), (0, 2));
}

#[test]
fn the_cache_of_another_node_is_not_taken_up() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    let other = "spiffe://td.example/troth/agent/join_token/web-2".parse().unwrap();
    assert!(matches!(
        load(&records(&dir), &other, HERE, clock.now()),
        Err(SavedUnreadable::OtherNode { .. })
    ));
}

#[test]
fn issuers_are_written_once_and_shared_again() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    let held = load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap().held;
    assert_eq!(held[0].svid.chain[1].as_ptr(), held[1].svid.chain[1].as_ptr());
}

fn federating() -> NodeEntry {
    NodeEntry {
        federates_with: vec!["partner.test".parse().unwrap()],
        ..entry("a", 1)
    }
}

#[tokio::test]
async fn the_bundles_of_partners_outlive_a_restart() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    let (before, partner) = (SvidCache::new(clock.shared()), bundle_of("partner.test"));
    let everyones = bundle_of("everyones.test");
    before.apply(Update {
        federated: Some(Federated {
            bundles: vec![partner.clone(), everyones.clone()],
            given_to_all: [everyones.trust_domain().clone()].into(),
        }),
        ..snapshot(7, vec![federating()])
    });
    issue_all(&before, clock.now());
    save(&before, &records(&dir), &clock);
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    let proven = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
    let view = cache.subscribe(proven).next().await.unwrap();
    assert_eq!(*view.federated[partner.trust_domain()], partner);
    assert_eq!(*view.federated[everyones.trust_domain()], everyones);
    assert_eq!(cache.resume_after(), Some(revision(7)));
}

/// Writes the cache as a version did that did not know of a part of it.
fn forget(part: &str, dir: &tempfile::TempDir) {
    let mut stored: serde_json::Value = serde_json::from_slice(&records(dir).read(Record::Cache).unwrap().unwrap()).unwrap();
    assert!(stored.as_object_mut().unwrap().remove(part).is_some());
    records(dir).write(Record::Cache, stored.to_string().as_bytes()).unwrap();
}

#[test]
fn a_cache_of_a_version_that_gave_no_partner_to_all_asks_for_a_snapshot() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    forget("given_to_all", &dir);
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!((cache.svid_count(), cache.resume_after()), (2, None));
}

#[test]
fn a_cache_of_a_version_without_partners_serves_and_asks_for_a_snapshot() {
    let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
    let dir = tempfile::tempdir().unwrap();
    save(&filled(&clock), &records(&dir), &clock);
    forget("federated", &dir);

    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!((cache.svid_count(), cache.resume_after()), (2, None));
    save(&cache, &records(&dir), &clock);
    assert!(
        !load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap().is_complete,
        "what was not known is not written as if it were"
    );
    cache.apply(snapshot(8, vec![entry("a", 1)]));
    assert_eq!(cache.resume_after(), Some(revision(8)));
}
