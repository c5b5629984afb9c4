use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use trust_domains::problem::{Code, Coded};

use super::layout::{FORMAT, FORMAT_KEY};
use super::*;
use crate::store::disk::RESERVE;
use crate::store::{Key, RecordName, WatchEvent, conformance};

const EPOCH: u64 = 0x1122_3344_5566_7788;

fn key(name: &str) -> Key {
    Key::authority(&RecordName::new(name).unwrap())
}

fn create(directory: &Path) -> SledStore {
    SledStore::create(directory, EPOCH, Disk::real()).unwrap()
}

fn open(directory: &Path) -> SledStore {
    SledStore::open(directory, Disk::real()).unwrap()
}

/// A disk whose end of the process is noted instead.
fn noting(reasons: &Arc<Mutex<Vec<String>>>) -> Disk {
    let reasons = Arc::clone(reasons);
    Disk::real().with_fatal(move |reason| reasons.lock().unwrap().push(reason.to_owned()))
}

fn put(name: &str, value: &str) -> Commit {
    Commit::new("put").put(key(name), value.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sled_does_what_every_store_does() {
    let directory = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    conformance::run(|| create(&directory.path().join(count.fetch_add(1, Ordering::Relaxed).to_string()))).await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening_at_the_same_revision() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = create(&path);
    store.commit(put("a", "1").put(key("long"), vec![7; 30_000])).await.unwrap();
    store.commit(Commit::new("delete").delete(key("a"))).await.unwrap();
    let before = store.snapshot(Prefix::ALL).await.unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(store.revision(), Revision { epoch: EPOCH, counter: 2 });
    assert_eq!(store.snapshot(Prefix::ALL).await.unwrap(), before);
    // What came before the start cannot be watched, what comes after it can.
    assert_eq!(
        store.watch(Revision { epoch: EPOCH, counter: 1 }).await.unwrap().next().await,
        Some(WatchEvent::Resync)
    );
    let mut watch = store.watch(store.revision()).await.unwrap();
    let revision = store.commit(put("b", "1")).await.unwrap();
    assert!(matches!(watch.next().await, Some(WatchEvent::Changes { revision: seen, .. }) if seen == revision && seen.counter == 3));
}

#[tokio::test]
async fn a_store_is_made_only_in_an_empty_directory_and_opened_only_where_one_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let missing = SledStore::open(&directory.path().join("none"), Disk::real()).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }));
    assert_eq!(missing.code(), Code::DataDirNotInitialised);
    std::fs::write(directory.path().join("something"), "").unwrap();
    let exists = SledStore::create(directory.path(), EPOCH, Disk::real()).unwrap_err();
    assert!(matches!(exists, StoreError::Exists { .. }));
}

#[tokio::test]
async fn a_second_process_is_refused_while_the_first_lives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let _first = create(&path);
    assert!(matches!(SledStore::open(&path, Disk::real()), Err(StoreError::InUse { .. })));
}

#[test]
fn an_unknown_format_an_unfinished_store_and_a_foreign_one_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let raw = |name: &str, records: &[(&[u8], Vec<u8>)]| {
        let path = directory.path().join(name);
        let db = ::sled::open(&path).unwrap();
        for (key, value) in records {
            db.insert(key, value.clone()).unwrap();
        }
        db.flush().unwrap();
        drop(db);
        SledStore::open(&path, Disk::real()).unwrap_err()
    };
    let newer = (FORMAT + 1).to_be_bytes().to_vec();
    assert!(matches!(raw("newer", &[(FORMAT_KEY, newer)]), StoreError::FormatUnknown { found: 2, known: 1 }));
    assert!(matches!(raw("unfinished", &[]), StoreError::Incomplete { .. }));
    assert!(matches!(raw("foreign", &[(b"k", b"v".to_vec())]), StoreError::Damaged { .. }));
    assert!(matches!(
        raw("headless", &[(FORMAT_KEY, FORMAT.to_be_bytes().to_vec())]),
        StoreError::Damaged { .. }
    ));
}

#[tokio::test]
async fn an_index_that_was_not_finished_when_its_writer_was_killed_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    create(&path).commit(put("a", "1")).await.unwrap();
    drop(open(&path));
    std::fs::write(path.join("snap.7FFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert_eq!(open(&path).snapshot(Prefix::ALL).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn commits_are_refused_while_too_little_is_free_and_go_on_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(RESERVE));
    let probe = Arc::clone(&free);
    let disk = Disk::real().with_free_space(move |_| Ok(probe.load(Ordering::SeqCst)));
    let store = SledStore::create(&directory.path().join("store"), EPOCH, disk).unwrap();
    store.commit(put("a", "1")).await.unwrap();
    free.store(RESERVE - 1, Ordering::SeqCst);
    let full = store.commit(put("a", "2")).await.unwrap_err();
    assert!(matches!(full, CommitError::DiskFull { free, reserve } if free == RESERVE - 1 && reserve == RESERVE));
    assert_eq!((full.code(), full.is_retryable(), store.revision().counter), (Code::DiskFull, true, 1));
    assert_eq!(store.snapshot(Prefix::ALL).await.unwrap().items[0].value, "1");
    free.store(RESERVE, Ordering::SeqCst);
    assert_eq!(store.commit(put("a", "3")).await.unwrap().counter, 2);
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let left = AtomicU64::new(2);
    let fail = move |file: &std::fs::File| match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => file.sync_data(),
        Err(_) => Err(io::Error::other("lost")),
    };
    let store = SledStore::create(&path, EPOCH, noting(&reasons).with_sync(fail)).unwrap();
    let mut watch = store.watch(store.revision()).await.unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match store.commit(put("a", &acknowledged.to_string()).put(key("b"), acknowledged.to_string())).await {
            Ok(_) => acknowledged += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, CommitError::Unavailable { .. }));
    assert!(store.commit(put("c", "1")).await.is_err(), "nothing is written after it");
    assert!(
        matches!(store.snapshot(Prefix::ALL).await, Err(StoreError::Stopped)),
        "what may be lost is not shown"
    );
    assert_eq!(store.revision().counter, acknowledged);
    for counter in 1..=acknowledged {
        assert!(matches!(watch.next().await, Some(WatchEvent::Changes { revision, .. }) if revision.counter == counter));
    }
    drop(store);
    let reasons = reasons.lock().unwrap().clone();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("lost"), "{reasons:?}");
    // The commit that was not acknowledged is there whole or not at all.
    let store = open(&path);
    assert!([acknowledged, acknowledged + 1].contains(&store.revision().counter));
    let items = store.snapshot(Prefix::ALL).await.unwrap().items;
    assert!(
        items
            .iter()
            .all(|item| item.modified == store.revision().counter && item.value == (store.revision().counter - 1).to_string())
    );
}

#[tokio::test]
async fn a_page_outside_the_log_stops_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let store = SledStore::create(&path, EPOCH, noting(&reasons)).unwrap();
    store.commit(put("a", "1")).await.unwrap();
    std::fs::write(path.join("blobs").join("4711"), "").unwrap();
    assert!(matches!(store.commit(put("a", "2")).await, Err(CommitError::Unavailable { .. })));
    drop(store);
    assert_eq!(reasons.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn no_page_leaves_the_log_however_large_the_values_are() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(&directory.path().join("store"));
    for round in 0..20_u8 {
        let commit = (0..20).fold(Commit::new("put"), |commit, number| {
            commit.put(key(&format!("k{round}-{number}")), vec![round; 4_000 + 997 * number])
        });
        store.commit(commit).await.unwrap();
    }
    assert!(store.files.no_blobs().unwrap());
}

#[tokio::test]
async fn records_that_nobody_touches_do_not_make_the_file_grow_without_end() {
    const COLD: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let disk = Disk::real().with_sync(|_| Ok(()));
    let store = SledStore::create(&path, EPOCH, disk).unwrap();
    // Each segment of what is soon overwritten holds one record that stays.
    let hot = || {
        (0..16).fold(Commit::new("hot"), |commit, number| {
            commit.put(Key::token(&RecordName::new(&format!("hot{number}")).unwrap()), vec![1; 4_000])
        })
    };
    for cold in 0..COLD {
        store.commit(put(&format!("cold{:03}", cold * 61 % COLD), "stays")).await.unwrap();
        for _ in 0..6 {
            store.commit(hot()).await.unwrap();
        }
    }
    let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
    assert_eq!(snapshot.items.iter().filter(|item| item.value == "stays").count(), COLD);
    let len = std::fs::metadata(path.join("db")).unwrap().len();
    // Some 40 MB went into it, and 80 KB are in it: sled's cleaning does not depend on its flusher thread.
    assert!(len < 8 * 1024 * 1024, "{len} octets");
}

#[tokio::test]
async fn waiting_commits_share_one_sync() {
    const COMMITS: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let (go_on, held) = std_mpsc::channel();
    let (held, counted) = (Mutex::new(held), Arc::clone(&syncs));
    let disk = Disk::real().with_sync(move |file| {
        // The first waits until all others have come.
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            held.lock().unwrap().recv().unwrap();
        }
        file.sync_data()
    });
    let store = Arc::new(SledStore::create(&directory.path().join("store"), EPOCH, disk).unwrap());
    let commits: Vec<_> = (0..COMMITS)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(put(&format!("k{number}"), "1")).await.unwrap().counter })
        })
        .collect();
    // On this runtime of one thread every task has run once, so far as its place in the queue, when this one runs again.
    tokio::task::yield_now().await;
    go_on.send(()).unwrap();
    let mut counters = Vec::new();
    for commit in commits {
        counters.push(commit.await.unwrap());
    }
    counters.sort_unstable();
    assert_eq!(counters, (1..=COMMITS as u64).collect::<Vec<_>>());
    assert!(syncs.load(Ordering::SeqCst) <= 5, "{} syncs", syncs.load(Ordering::SeqCst));
}

#[tokio::test]
async fn dropping_the_store_finishes_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = create(&path);
    let mut commit = Box::pin(store.commit(put("a", "1")));
    assert!(futures_util::poll!(&mut commit).is_pending());
    drop(commit);
    drop(store);
    assert_eq!(open(&path).revision().counter, 1);
}

/// What a random history is made of.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Option<usize>)>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![Just(0_usize), 1..50_usize, 4_000..4_200_usize, 8_000..20_000_usize];
    let write = (0..24_u8, proptest::option::weighted(0.8, size));
    prop_oneof![9 => proptest::collection::vec(write, 1..12).prop_map(Step::Commit), 1 => Just(Step::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_leaves_what_a_map_would_hold(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let mut store = create(&path);
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Reopen => {
                    let revision = store.revision();
                    drop(store);
                    store = open(&path);
                    prop_assert_eq!(store.revision(), revision);
                }
                Step::Commit(writes) => {
                    let counter = store.revision().counter + 1;
                    let mut commit = Commit::new("random");
                    for (name, size) in writes {
                        let key = key(&format!("k{name}"));
                        if let Some(size) = size {
                            let value = Bytes::from(vec![name ^ counter.to_le_bytes()[0]; size]);
                            model.insert(key.clone(), (value.clone(), counter));
                            commit = commit.put(key, value);
                        } else {
                            model.remove(&key);
                            commit = commit.delete(key);
                        }
                    }
                    runtime.block_on(store.commit(commit)).unwrap();
                }
            }
        }
        let snapshot = runtime.block_on(store.snapshot(Prefix::ALL)).unwrap();
        let stored: BTreeMap<_, _> = snapshot.items.into_iter().map(|item| (item.key, (item.value, item.modified))).collect();
        prop_assert_eq!(stored, model);
    }
}
