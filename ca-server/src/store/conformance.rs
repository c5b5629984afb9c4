//! What every store does: one suite, run against each backend.

use bytes::Bytes;
use futures_util::future::join_all;
use trust_domains::Revision;

use super::{Change, Commit, CommitError, Key, Prefix, RecordName, Store, WatchEvent};

/// Runs the suite; each part gets a new, empty store.
pub(crate) async fn run<S: Store>(new: impl Fn() -> S) {
    commits_are_consecutive_revisions(&new()).await;
    items_come_in_the_order_of_their_keys_and_by_prefix(&new()).await;
    pages_are_together_what_a_snapshot_shows(&new()).await;
    a_failed_precondition_changes_nothing(&new()).await;
    preconditions_are_judged_before_the_writes(&new()).await;
    of_two_writes_to_a_key_the_later_counts(&new()).await;
    values_of_every_size_are_kept_and_shrink_and_go(&new()).await;
    a_commit_over_the_limits_is_refused(&new()).await;
    concurrent_changes_of_one_record_lose_nothing(&new()).await;
    a_snapshot_never_shows_half_a_commit(&new()).await;
    a_watch_continues_a_snapshot_without_a_gap(&new()).await;
    a_watch_of_what_is_not_known_resyncs(&new()).await;
}

fn key(name: &str) -> Key {
    Key::authority(&RecordName::new(name).unwrap())
}

async fn value(store: &impl Store, key: &Key) -> Option<Bytes> {
    let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
    snapshot.items.into_iter().find(|item| item.key == *key).map(|item| item.value)
}

async fn commits_are_consecutive_revisions(store: &impl Store) {
    let start = store.revision();
    for count in 1..=5 {
        let revision = store.commit(Commit::new("put").put(key("a"), vec![0; count])).await.unwrap();
        assert_eq!(
            revision,
            Revision {
                counter: start.counter + count as u64,
                ..start
            }
        );
        assert_eq!(store.revision(), revision);
        let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
        assert_eq!(snapshot.revision, revision);
        assert_eq!(snapshot.items.len(), 1);
        assert_eq!((snapshot.items[0].modified, snapshot.items[0].value.len()), (revision.counter, count));
    }
}

async fn items_come_in_the_order_of_their_keys_and_by_prefix(store: &impl Store) {
    let mut commit = Commit::new("put").put(Key::meta("m"), "m");
    for name in ["b", "a-1", "a", "a.1", "Z", "c"] {
        commit = commit.put(key(name), name.to_owned());
    }
    store.commit(commit).await.unwrap();
    let names = |items: Vec<super::Item>| items.into_iter().map(|item| item.key.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(store.snapshot(Prefix::AUTHORITIES).await.unwrap().items),
        ["Z", "a", "a-1", "a.1", "b", "c"]
    );
    assert_eq!(names(store.snapshot(Prefix::META).await.unwrap().items), ["m"]);
    assert_eq!(store.snapshot(Prefix::ALL).await.unwrap().items.len(), 7);
    assert!(store.snapshot(Prefix::ENTRIES).await.unwrap().items.is_empty());
}

async fn pages_are_together_what_a_snapshot_shows(store: &impl Store) {
    let mut commit = Commit::new("put").put(Key::meta("m"), "m");
    for number in 0..11 {
        // Every third is longer than one stored value may be.
        commit = commit.put(key(&format!("k{number}")), vec![number; if number % 3 == 0 { 10_000 } else { 10 }]);
    }
    store.commit(commit).await.unwrap();
    for prefix in [Prefix::AUTHORITIES, Prefix::META, Prefix::ALL, Prefix::ENTRIES] {
        let (mut items, mut behind) = (Vec::new(), None);
        loop {
            let page = store.page(prefix, behind).await.unwrap();
            let Some(last) = page.items.last() else { break };
            behind = Some(last.key.clone());
            items.extend(page.items);
        }
        assert_eq!(items, store.snapshot(prefix).await.unwrap().items, "{prefix:?}");
    }
}

async fn a_failed_precondition_changes_nothing(store: &impl Store) {
    let first = store.commit(Commit::new("put").put(key("a"), "1")).await.unwrap();
    let put = || Commit::new("put").put(key("a"), "2").put(key("b"), "2").delete(key("a"));
    let refused = [
        put().absent(key("a")),
        put().present(key("b")),
        put().unmodified(key("a"), first.counter + 1),
        put().unmodified(key("b"), first.counter),
        put().absent(key("b")).present(key("a")).absent(key("a")),
    ];
    for commit in refused {
        let expected = commit.preconditions.last().unwrap().key().clone();
        let shown = format!("{commit:?}");
        assert!(
            matches!(store.commit(commit).await, Err(CommitError::Conflict { key }) if key == expected),
            "{shown}"
        );
        assert_eq!(store.revision(), first, "{shown}");
    }
    assert_eq!(value(store, &key("a")).await.unwrap(), "1");
    assert_eq!(value(store, &key("b")).await, None);
    let held = put().unmodified(key("a"), first.counter).absent(key("b")).present(key("a"));
    assert!(store.commit(held).await.is_ok());
    assert_eq!(value(store, &key("a")).await, None);
}

async fn preconditions_are_judged_before_the_writes(store: &impl Store) {
    store.commit(Commit::new("put").put(key("a"), "1").absent(key("a"))).await.unwrap();
    let conflict = store.commit(Commit::new("move").delete(key("a")).absent(key("a"))).await;
    assert!(matches!(conflict, Err(CommitError::Conflict { .. })));
}

async fn of_two_writes_to_a_key_the_later_counts(store: &impl Store) {
    let mut watch = store.watch(store.revision()).await.unwrap();
    let commit = Commit::new("put")
        .put(key("a"), "1")
        .delete(key("b"))
        .put(key("b"), "1")
        .put(key("a"), "2")
        .put(key("c"), "1")
        .delete(key("c"));
    let revision = store.commit(commit).await.unwrap();
    assert_eq!(value(store, &key("a")).await.unwrap(), "2");
    assert_eq!(value(store, &key("b")).await.unwrap(), "1");
    assert_eq!(value(store, &key("c")).await, None);
    let put = |name, value| Change {
        key: key(name),
        value: Some(Bytes::from_static(value)),
    };
    let changes = vec![put("b", b"1"), put("a", b"2"), Change { key: key("c"), value: None }];
    assert_eq!(watch.next().await, Some(WatchEvent::Changes { revision, changes }));
}

async fn values_of_every_size_are_kept_and_shrink_and_go(store: &impl Store) {
    for size in [0, 1, 4_083, 4_084, 4_085, 8_180, 8_181, 100_000, 1_000_000, 9_000, 4_084, 0] {
        let written = Bytes::from((0..=250_u8).cycle().take(size).collect::<Vec<_>>());
        store
            .commit(Commit::new("put").put(key("a"), written.clone()).put(key("b"), "next"))
            .await
            .unwrap();
        assert_eq!(value(store, &key("a")).await.unwrap(), written, "{size}");
    }
    store.commit(Commit::new("put").put(key("a"), vec![1; 50_000])).await.unwrap();
    store.commit(Commit::new("delete").delete(key("a"))).await.unwrap();
    let left = store.snapshot(Prefix::ALL).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, key("b"));
}

async fn a_commit_over_the_limits_is_refused(store: &impl Store) {
    let wide = Commit::new("wide").put(key("a"), vec![0; Commit::MAX_OCTETS]);
    assert!(matches!(store.commit(wide).await, Err(CommitError::TooLarge { .. })));
    assert_eq!(store.revision().counter, 0);
}

async fn concurrent_changes_of_one_record_lose_nothing(store: &impl Store) {
    const TASKS: u64 = 8;
    const EACH: u64 = 10;
    store.commit(Commit::new("put").put(key("n"), "0")).await.unwrap();
    let increment = async || {
        loop {
            let item = store.snapshot(Prefix::AUTHORITIES).await.unwrap().items.remove(0);
            let number: u64 = std::str::from_utf8(&item.value).unwrap().parse().unwrap();
            match store
                .commit(
                    Commit::new("increment")
                        .unmodified(key("n"), item.modified)
                        .put(key("n"), (number + 1).to_string()),
                )
                .await
            {
                Ok(revision) => return revision.counter,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let task = async || {
        let mut counters = Vec::new();
        for _ in 0..EACH {
            counters.push(increment().await);
        }
        counters
    };
    let mut counters: Vec<u64> = join_all((0..TASKS).map(|_| task())).await.concat();
    counters.sort_unstable();
    // Every success is its own revision, and a conflict is none.
    assert_eq!(counters, (2..2 + TASKS * EACH).collect::<Vec<_>>());
    assert_eq!(value(store, &key("n")).await.unwrap(), (TASKS * EACH).to_string());
}

async fn a_snapshot_never_shows_half_a_commit(store: &impl Store) {
    let write = async {
        for round in 0..50_u32 {
            let value = Bytes::from(vec![u8::try_from(round).unwrap(); 6_000]);
            store
                .commit(Commit::new("put").put(key("a"), value.clone()).put(key("z"), value))
                .await
                .unwrap();
        }
    };
    let read = async {
        for _ in 0..50 {
            let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
            let values: Vec<_> = snapshot.items.iter().map(|item| (&item.value, item.modified)).collect();
            assert!(values.is_empty() || values[0] == values[1]);
            assert!(snapshot.items.iter().all(|item| item.modified == snapshot.revision.counter));
        }
    };
    futures_util::future::join(write, read).await;
}

async fn a_watch_continues_a_snapshot_without_a_gap(store: &impl Store) {
    const COMMITS: u64 = 200;
    store.commit(Commit::new("before").put(key("before"), "")).await.unwrap();
    let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
    let write = join_all((0..COMMITS).map(|number| store.commit(Commit::new("put").put(key(&format!("k{number}")), number.to_string()))));
    let read = async {
        let mut watch = store.watch(snapshot.revision).await.unwrap();
        let mut names = Vec::new();
        for counter in snapshot.revision.counter + 1..=snapshot.revision.counter + COMMITS {
            let Some(WatchEvent::Changes { revision, changes }) = watch.next().await else {
                panic!("expected changes")
            };
            assert_eq!(revision.counter, counter);
            names.extend(changes.into_iter().map(|change| change.key));
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len() as u64, COMMITS);
        // One that begins late sees the same.
        let mut late = store.watch(snapshot.revision).await.unwrap();
        assert!(matches!(late.next().await, Some(WatchEvent::Changes { revision, .. }) if revision.counter == snapshot.revision.counter + 1));
    };
    futures_util::future::join(write, read).await;
}

async fn a_watch_of_what_is_not_known_resyncs(store: &impl Store) {
    let revision = store.commit(Commit::new("put").put(key("a"), "1")).await.unwrap();
    for unknown in [
        Revision {
            epoch: revision.epoch ^ 1,
            ..revision
        },
        Revision {
            counter: revision.counter + 1,
            ..revision
        },
    ] {
        let mut watch = store.watch(unknown).await.unwrap();
        assert_eq!(watch.next().await, Some(WatchEvent::Resync));
        assert_eq!(watch.next().await, None);
    }
}
