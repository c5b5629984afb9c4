//! What an earlier run sealed and this one does not serve: each rule by itself.

use trust_domains::plan::restart::RestartRefused;
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::problem::Code;
use trust_domains::wire::node::NodeEntry;

use super::*;
use crate::svids::testing::held;
use crate::svids::{Subscription, Unserved};
use crate::sync::Link;
use trust_domains::problem::Coded;

const SECOND: Duration = Duration::from_secs(1);

/// The machine has started again: its clock counts from nothing, and shows this much after the run before.
fn rebooted(before: &ManualClock, later: i64) -> ManualClock {
    ManualClock::new(Timestamp::from_unix(before.now().wall.unix() + later))
}

/// What is sealed in `dir`, taken up by an agent that begins now.
fn taken_up(dir: &tempfile::TempDir, clock: &ManualClock) -> SvidCache {
    let cache = SvidCache::new(clock.shared());
    cache.restore(load(&records(dir), &node(), HERE, clock.now()).unwrap().unwrap());
    cache
}

fn subscribed(cache: &SvidCache) -> Subscription {
    cache.subscribe(["unix:uid:1000".parse().unwrap()].into_iter().collect())
}

/// Returns how many SVIDs a process is given that asks now.
async fn given(cache: &SvidCache) -> usize {
    // What needs nobody else is there at once; what does not come would have to be asked for, and there is no server here.
    match tokio::time::timeout(SECOND, subscribed(cache).next()).await {
        Ok(Ok(view)) => view.svids.len(),
        Ok(Err(_)) | Err(_) => 0,
    }
}

fn refusal(dir: &tempfile::TempDir, machine: Option<MachineTag>, clock: &ManualClock) -> RestartRefused {
    match load(&records(dir), &node(), machine, clock.now()) {
        Err(SavedUnreadable::Refused(refused)) => refused,
        other => panic!("it is served: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_off_serves_each_svid_until_its_own_end_and_not_at_that_second() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    let life = i64::try_from(TTL.as_secs()).unwrap();
    for (off, served) in [(0, 2), (life - 1, 2), (life, 0), (life + 1, 0), (100 * life, 0)] {
        assert_eq!(given(&taken_up(&dir, &rebooted(&clock, off))).await, served, "off for {off} s");
    }
    // What was served is taken back at that second too, from streams that are open.
    let clock = rebooted(&clock, life - 1);
    let cache = taken_up(&dir, &clock);
    let mut stream = subscribed(&cache);
    assert_eq!(stream.next().await.unwrap().svids.len(), 2);
    assert_eq!(cache.due(&RotationPolicy::default()).issue.len(), 2);
    clock.advance(SECOND);
    let _ = cache.due(&RotationPolicy::default());
    assert_eq!(given(&cache).await, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_past_the_end_of_its_entry() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    let cache = SvidCache::new(clock.shared());
    let ends = clock.now().wall + TTL / 2;
    cache.apply(snapshot(
        7,
        vec![NodeEntry {
            expires_at: Some(ends),
            ..entry("a", 1)
        }],
    ));
    // As a server would that did not clip: the entry's end counts by itself.
    assert_eq!(issue_all(&cache, clock.now()), 1);
    save(&cache, &records(&dir), &clock);
    let half = i64::try_from((TTL / 2).as_secs()).unwrap();
    for (off, served) in [(half - 1, 1), (half, 0)] {
        let cache = taken_up(&dir, &rebooted(&clock, off));
        assert_eq!((given(&cache).await, cache.svid_count()), (served, served), "off for {off} s");
    }
}

/// The node's own SVID, as a restarted agent has it.
fn node_svid(clock: &ManualClock, ends: Timestamp) -> HeldCredential {
    HeldCredential::restored(clock.now(), ends - TTL, ends, Jitter::NONE)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_past_the_end_of_the_nodes_own_svid_until_it_is_renewed() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    let node_ends = clock.now().wall + TTL / 4;
    let quarter = i64::try_from((TTL / 4).as_secs()).unwrap();

    let clock = rebooted(&clock, quarter - 1);
    let cache = taken_up(&dir, &clock);
    cache.vouch(node_svid(&clock, node_ends));
    let mut stream = subscribed(&cache);
    assert_eq!(stream.next().await.unwrap().svids.len(), 2, "in the last second of the node it is served");
    let due = cache.due(&RotationPolicy::default());
    assert_eq!(due.next, Some(clock.now().since_boot + SECOND), "the end of the node is waited for");

    clock.advance(SECOND);
    assert_eq!(
        (given(&cache).await, cache.svid_count()),
        (0, 0),
        "whoever asks at that second is given nothing"
    );
    assert!(cache.report(&"a".parse().unwrap()).unwrap().svid.is_none());
    let _ = cache.due(&RotationPolicy::default());
    let ended = stream.next().await.unwrap_err();
    assert!(
        matches!(&ended, Unserved::NothingValid { reason, entry_gone: false } if reason.contains("this node's own SVID ended")),
        "{ended:?}"
    );

    cache.vouch(HeldCredential::issued(
        clock.now(),
        TTL,
        clock.now().wall + TTL,
        Jitter::NONE,
        &RotationPolicy::default(),
    ));
    assert_eq!(stream.next().await.unwrap().svids.len(), 2, "what is still valid is served again");

    // An agent that begins after that end serves nothing of it from its first moment.
    let clock = rebooted(&clock, 0);
    let cache = SvidCache::new(clock.shared());
    cache.vouch(node_svid(&clock, node_ends));
    cache.restore(load(&records(&dir), &node(), HERE, clock.now()).unwrap().unwrap());
    assert_eq!((given(&cache).await, cache.entry_count()), (0, 2));
}

#[test]
fn a_clock_that_went_back_by_more_than_the_skew_is_refused_with_the_moment_from_which_it_is_served() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    for back in [0, -1, -60] {
        assert_eq!(taken_up(&dir, &rebooted(&clock, back)).entry_count(), 2, "{back}");
    }
    let sealed = std::fs::read(dir.path().join("agent/cache.sealed")).unwrap();
    let refused = refusal(&dir, HERE, &rebooted(&clock, -61));
    assert_eq!(refused.code(), Code::ClockBehind);
    assert_eq!(refused.until(Duration::from_secs(60)), Some(clock.now().wall - Duration::from_secs(60)));
    assert_eq!(
        std::fs::read(dir.path().join("agent/cache.sealed")).unwrap(),
        sealed,
        "it waits for the clock to be put right"
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_is_written_down_while_nothing_else_is() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    let link = tokio::sync::watch::Sender::new(Link::Connecting);
    let seen = LastSeen::new(last_seen(&records(&dir)).unwrap(), clock.shared(), link.subscribe());
    let (stop, kept) = (CancellationToken::new(), Arc::new(records(&dir)));
    clock.advance(TTL / 2);
    stop.cancel();
    seen.clone().keep(kept.clone(), stop.clone()).await;
    assert_eq!(last_seen(&kept).unwrap(), Some(clock.now().wall));
    let half = i64::try_from((TTL / 2).as_secs()).unwrap();
    assert_eq!(
        refusal(&dir, HERE, &rebooted(&clock, -61)).code(),
        Code::ClockBehind,
        "the cache itself is {half} s older"
    );

    // Without the server a clock that was set back does not make it forget; with the server there the clock is believed as it is.
    clock.step_wall(-3_600);
    assert_eq!(seen.look().seconds_until(clock.now().wall), -3_600);
    link.send_replace(Link::Open { since: clock.now().wall });
    assert_eq!(seen.look(), clock.now().wall);
    seen.keep(kept.clone(), stop).await;
    assert_eq!(last_seen(&kept).unwrap(), Some(clock.now().wall));
}

#[test]
fn a_copied_directory_is_not_served_on_another_machine_nor_where_the_machine_has_no_number() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    for elsewhere in [Some(MachineTag([8; 16])), None] {
        let refused = refusal(&dir, elsewhere, &clock);
        assert_eq!((refused.code(), refused.until(SECOND)), (Code::CacheOfOtherMachine, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_a_version_that_named_neither_machine_nor_time_is_served() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    save(&filled(&clock), &records(&dir), &clock);
    forget("machine", &dir);
    forget("last_seen", &dir);
    assert_eq!(given(&taken_up(&dir, &rebooted(&clock, -3_600))).await, 2);
    assert!(load(&records(&dir), &node(), None, clock.now()).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn after_a_machine_slept_what_is_due_is_asked_for_at_once_the_least_life_first() {
    let (clock, dir) = (ManualClock::new(Timestamp::from_unix(1_800_000_000)), tempfile::tempdir().unwrap());
    let cache = SvidCache::new(clock.shared());
    let entries = ["a", "b", "c", "d"];
    cache.apply(snapshot(7, entries.iter().zip(1..).map(|(id, at)| entry(id, at)).collect()));
    // One after the other, a minute apart, so that the one that is issued first ends first.
    let asked = cache.due(&RotationPolicy::default()).issue;
    let mut order = Vec::new();
    for asked in asked.into_iter().rev() {
        order.push(asked.id.clone());
        cache.settle(
            vec![(asked.clone(), crate::svids::state::Outcome::Issued(held(&asked, clock.now())))],
            Jitter::NONE,
        );
        clock.advance(Duration::from_secs(60));
    }
    let _all_in_use = subscribed(&cache);
    save(&cache, &records(&dir), &clock);
    assert!(cache.due(&RotationPolicy::default()).issue.is_empty());
    clock.advance(TTL / 2);
    let due: Vec<_> = cache.due(&RotationPolicy::default()).issue.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(due, order);
}
