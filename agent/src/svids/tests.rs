//! The cache as its subscribers see it.

mod clocks;
mod federated;
mod taint;

use std::time::Duration;

use conformance::covers;
use proptest::prelude::*;
use trust_domains::clock::{Clock, ManualClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;
use trust_domains::{SelectorSet, Timestamp, TrustBundle};

use super::state::{Outcome, PREFETCH_LIMIT, UNUSED_LIMIT};
use super::testing::{TTL, bundle, delta, entry, held, issue_all, revision, snapshot};
use super::{IdentityView, Subscription, SvidCache, Unserved, WantedFacts};

const POLICY: RotationPolicy = RotationPolicy {
    clock_skew: Duration::from_secs(60),
};

struct World {
    clock: ManualClock,
    cache: SvidCache,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        Self {
            cache: SvidCache::new(clock.shared()),
            clock,
        }
    }

    /// A world in which these entries have their SVIDs.
    fn with(entries: &[&str]) -> Self {
        let world = Self::new();
        world.cache.apply(snapshot(5, entries.iter().zip(1..).map(|(id, at)| entry(id, at)).collect()));
        world.issue();
        world
    }

    fn issue(&self) -> usize {
        issue_all(&self.cache, self.clock.now())
    }

    /// One entry, with its SVID, and when it ends.
    fn with_an_entry_that_ends_in(life: Duration) -> (Self, Timestamp) {
        let world = Self::with(&[]);
        let end = world.clock.now().wall + life;
        let ending = NodeEntry {
            expires_at: Some(end),
            ..entry("a", 1)
        };
        world.cache.apply(delta(6, vec![ending], &[]));
        world.issue();
        (world, end)
    }

    fn fail(&self, outcome: fn(String) -> Outcome) -> usize {
        let due = self.cache.due(&POLICY).issue;
        let count = due.len();
        self.cache
            .settle(due.into_iter().map(|entry| (entry, outcome("no luck".to_owned()))).collect(), Jitter::NONE);
        count
    }

    fn acknowledgeable(&self) -> Option<u64> {
        self.cache.acknowledgeable().borrow().map(|revision| revision.counter)
    }
}

fn user(uid: u32) -> SelectorSet {
    [format!("unix:uid:{uid}").parse().unwrap(), "unix:gid:100".parse().unwrap()]
        .into_iter()
        .collect()
}

fn names(view: &IdentityView) -> Vec<&str> {
    view.svids.iter().map(|svid| svid.spiffe_id.path()).collect()
}

/// Whether the subscription has nothing new to say.
async fn is_quiet(subscription: &mut Subscription) -> bool {
    tokio::time::timeout(Duration::from_millis(1), subscription.next()).await.is_err()
}

fn for_user(id: &str, at: u64, uid: u32) -> NodeEntry {
    NodeEntry {
        selectors: vec![format!("unix:uid:{uid}").parse().unwrap()],
        ..entry(id, at)
    }
}

#[covers("EP-11")]
#[tokio::test]
async fn before_the_first_sync_a_subscriber_is_told_that_the_agent_starts_and_then_what_it_is_entitled_to() {
    let world = World::new();
    let (mut entitled, mut stranger) = (world.cache.subscribe(user(1_000)), world.cache.subscribe(user(7)));
    assert_eq!(entitled.next().await.unwrap_err(), Unserved::Starting);
    assert_eq!(stranger.next().await.unwrap_err(), Unserved::Starting);
    world.cache.apply(snapshot(5, vec![entry("a", 1)]));
    assert!(is_quiet(&mut entitled).await, "its SVID is being issued");
    assert_eq!(stranger.next().await.unwrap_err(), Unserved::NotEntitled);
    world.issue();
    assert_eq!(names(&entitled.next().await.unwrap()), ["/a"]);
}

#[covers("WAPI-23")]
#[tokio::test]
async fn identities_come_in_the_order_of_their_entries_age_whatever_the_order_of_arrival() {
    let world = World::new();
    world
        .cache
        .apply(snapshot(9, vec![entry("c", 3), entry("b", 2), entry("a2", 1), entry("a1", 1)]));
    world.issue();
    assert_eq!(names(&world.cache.subscribe(user(1_000)).next().await.unwrap()), ["/a1", "/a2", "/b", "/c"]);
}

#[tokio::test]
async fn an_entry_needs_every_selector_and_one_without_selectors_matches_nobody() {
    let world = World::new();
    let both = NodeEntry {
        selectors: vec!["unix:uid:1000".parse().unwrap(), "unix:gid:7".parse().unwrap()],
        ..entry("both", 1)
    };
    let none = NodeEntry {
        selectors: Vec::new(),
        ..entry("none", 2)
    };
    world.cache.apply(snapshot(5, vec![both, none]));
    world.issue();
    assert_eq!(world.cache.subscribe(user(1_000)).next().await.unwrap_err(), Unserved::NotEntitled);
}

#[tokio::test]
async fn a_subscriber_hears_of_changes_of_its_own_view_only() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.apply(delta(6, vec![for_user("other", 6, 7)], &[]));
    world.issue();
    assert!(is_quiet(&mut subscription).await);
    world.cache.apply(delta(7, vec![entry("b", 7)], &[]));
    assert!(is_quiet(&mut subscription).await, "until it is issued");
    world.issue();
    assert_eq!(names(&subscription.next().await.unwrap()), ["/a", "/b"]);
    assert!(is_quiet(&mut subscription).await);
}

#[covers("WAPI-11")]
#[tokio::test]
async fn a_deleted_entry_is_withdrawn_at_once_and_the_last_one_ends_the_stream_as_denied() {
    let world = World::with(&["a", "b"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.apply(delta(6, Vec::new(), &["a"]));
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b"]);
    world.cache.apply(delta(7, Vec::new(), &["b"]));
    let unserved = subscription.next().await.unwrap_err();
    assert!(unserved.is_denied(), "{unserved:?}");
    assert_eq!(subscription.revision(), Some(revision(7)));
    assert!(world.cache.subscribe(user(1_000)).next().await.unwrap_err().is_denied());
    assert!(is_quiet(&mut subscription).await, "a newcomer is no news");
    drop(subscription);
    assert_eq!(world.cache.subscribe(user(1_000)).next().await.unwrap_err(), Unserved::NotEntitled);
}

#[tokio::test]
async fn an_entry_that_no_longer_matches_is_withdrawn() {
    let world = World::with(&["a", "b"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.apply(delta(6, vec![for_user("a", 1, 7)], &[]));
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b"]);
    world.issue();
    assert_eq!(names(&world.cache.subscribe(user(7)).next().await.unwrap()), ["/a"]);
}

#[tokio::test]
async fn a_changed_entry_is_issued_again_and_the_old_svid_served_until_then() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    let before = subscription.next().await.unwrap();
    world.cache.apply(delta(
        6,
        vec![NodeEntry {
            x509_ttl_s: 300,
            revision: revision(6),
            ..entry("a", 1)
        }],
        &[],
    ));
    assert!(is_quiet(&mut subscription).await);
    assert_eq!(world.issue(), 1);
    let after = subscription.next().await.unwrap();
    assert!(!before.same_contents(&after));
    world.cache.apply(delta(
        7,
        vec![NodeEntry {
            x509_ttl_s: 300,
            revision: revision(7),
            ..entry("a", 1)
        }],
        &[],
    ));
    assert_eq!(world.issue(), 0, "another commit without another content");
}

#[tokio::test]
async fn an_identity_that_the_entry_no_longer_gives_is_not_served_to_newcomers() {
    let world = World::with(&["a"]);
    let renamed = NodeEntry {
        spiffe_id: "spiffe://td.example/new".parse().unwrap(),
        revision: revision(6),
        ..entry("a", 1)
    };
    world.cache.apply(delta(6, vec![renamed], &[]));
    let mut newcomer = world.cache.subscribe(user(1_000));
    assert!(is_quiet(&mut newcomer).await);
    assert_eq!(world.cache.current(&"a".parse().unwrap()).map(|svid| svid.spiffe_id.clone()), None);
    world.issue();
    assert_eq!(names(&newcomer.next().await.unwrap()), ["/new"]);
}

#[tokio::test]
async fn a_refused_entry_does_not_hold_up_the_others() {
    let world = World::new();
    world.cache.apply(snapshot(5, vec![entry("a", 1), entry("b", 2)]));
    let now = world.clock.now();
    let outcomes = world.cache.due(&POLICY).issue.into_iter().map(|asked| {
        let outcome = if asked.id.as_str() == "a" {
            Outcome::Refused("policy".to_owned())
        } else {
            Outcome::Issued(held(&asked, now))
        };
        (asked, outcome)
    });
    world.cache.settle(outcomes.collect(), Jitter::NONE);
    assert_eq!(names(&world.cache.subscribe(user(1_000)).next().await.unwrap()), ["/b"]);
    assert_eq!(world.cache.report(&"a".parse().unwrap()).unwrap().last_error.as_deref(), Some("policy"));
}

#[tokio::test]
async fn with_the_server_away_a_valid_svid_stays_and_an_ended_one_is_never_served() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.clock.advance(TTL * 6 / 10);
    assert_eq!(world.fail(Outcome::Unreached), 1, "renewal is due");
    assert!(is_quiet(&mut subscription).await);
    assert_eq!(world.cache.svid_count(), 1);
    world.clock.advance(TTL * 4 / 10);
    assert_eq!(world.cache.svid_count(), 0, "not even before the loop has seen it");
    world.fail(Outcome::Unreached);
    let unserved = subscription.next().await.unwrap_err();
    assert!(
        matches!(&unserved, Unserved::NothingValid { entry_gone: false, .. }) && !unserved.is_denied(),
        "{unserved:?}"
    );
    world.clock.advance(TTL);
    world.issue();
    assert_eq!(names(&subscription.next().await.unwrap()), ["/a"]);
}

#[tokio::test]
async fn a_newcomer_never_gets_what_ended_or_was_deleted_a_moment_ago() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.clock.advance(TTL);
    assert!(is_quiet(&mut world.cache.subscribe(user(1_000))).await);
    world.issue();
    subscription.next().await.unwrap();
    world.cache.apply(delta(6, vec![entry("b", 6)], &["a"]));
    assert!(is_quiet(&mut world.cache.subscribe(user(1_000))).await);
    assert!(is_quiet(&mut subscription).await);
    world.issue();
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b"]);
}

#[covers("EP-11")]
#[tokio::test]
async fn a_newcomer_is_refused_at_once_while_nothing_can_be_issued() {
    let world = World::new();
    world.cache.apply(snapshot(5, vec![entry("a", 1)]));
    world.fail(Outcome::Unreached);
    let unserved = world.cache.subscribe(user(1_000)).next().await.unwrap_err();
    assert_eq!(
        unserved,
        Unserved::NothingValid {
            reason: "no luck".to_owned(),
            entry_gone: false
        }
    );
    assert!(world.cache.due(&POLICY).issue.is_empty(), "the next attempt waits");
    world.cache.retry_now();
    assert_eq!(world.issue(), 1, "until the server is back");
}

#[tokio::test]
async fn an_entry_past_its_own_end_gives_nothing() {
    let world = World::with(&["b"]);
    let ending = NodeEntry {
        expires_at: Some(world.clock.now().wall + Duration::from_secs(100)),
        ..entry("a", 1)
    };
    world.cache.apply(delta(6, vec![ending], &[]));
    world.issue();
    let mut subscription = world.cache.subscribe(user(1_000));
    assert_eq!(subscription.next().await.unwrap().svids.len(), 2);
    world.clock.advance(Duration::from_secs(100));
    assert!(world.cache.due(&POLICY).issue.is_empty());
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b"]);
}

#[tokio::test]
async fn who_has_only_an_entry_past_its_end_is_told_when_that_was() {
    let (world, end) = World::with_an_entry_that_ends_in(Duration::from_secs(100));
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.clock.advance(Duration::from_secs(100));
    assert!(world.cache.due(&POLICY).issue.is_empty());
    for unserved in [subscription.next().await, world.cache.subscribe(user(1_000)).next().await] {
        let unserved = unserved.unwrap_err();
        assert!(
            unserved.is_denied() && unserved.to_string().contains(&format!("expired at {end}")),
            "{unserved}"
        );
    }
}

#[tokio::test]
async fn an_svid_that_ends_a_moment_before_its_entry_ended_with_it_and_not_for_want_of_a_server() {
    let (world, end) = World::with_an_entry_that_ends_in(TTL);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.clock.advance(TTL / 2);
    assert_eq!(world.fail(Outcome::Unreached), 1, "its renewal is due");
    // Lives are counted on the clock that nobody sets; the entry's end is one of the day.
    world.clock.step_wall(-1);
    world.clock.advance(TTL / 2);
    world.fail(Outcome::Unreached);
    let _ended = world.cache.due(&POLICY);
    let unserved = subscription.next().await.unwrap_err();
    assert_eq!(unserved.to_string(), format!("the entry that gives this identity expired at {end}"));
}

#[tokio::test]
async fn a_new_bundle_reaches_every_view_with_the_same_svids() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    let before = subscription.next().await.unwrap();
    let mut update = delta(6, Vec::new(), &[]);
    update.bundle = Some(bundle());
    world.cache.apply(update);
    assert!(is_quiet(&mut subscription).await, "an equal bundle is no news");
    let mut update = delta(7, Vec::new(), &[]);
    update.bundle = Some(bundle().with_sequence(2));
    world.cache.apply(update);
    let after = subscription.next().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&before.svids[0], &after.svids[0]));
    assert_eq!(after.bundle.sequence(), Some(2));
    assert_eq!(world.cache.bundle().borrow().as_deref().and_then(TrustBundle::sequence), Some(2));
}

#[tokio::test]
async fn subscribers_with_the_same_selectors_share_one_view() {
    let world = World::with(&["a"]);
    let (mut one, mut two) = (world.cache.subscribe(user(1_000)), world.cache.subscribe(user(1_000)));
    assert!(std::sync::Arc::ptr_eq(&one.next().await.unwrap(), &two.next().await.unwrap()));
    assert_eq!(world.cache.subscriptions(), 2);
    drop((one, two));
    assert_eq!(world.cache.subscriptions(), 0);
}

#[tokio::test]
async fn a_snapshot_replaces_everything_that_it_does_not_name() {
    let world = World::with(&["a", "b"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.apply(snapshot(9, vec![entry("b", 2), entry("c", 3)]));
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b"]);
    assert_eq!(world.issue(), 1, "only the new one");
    assert_eq!(names(&subscription.next().await.unwrap()), ["/b", "/c"]);
}

#[tokio::test]
async fn past_the_prefetch_limit_svids_are_issued_on_demand_and_never_refused() {
    let world = World::new();
    let count = u32::try_from(PREFETCH_LIMIT + 500).unwrap();
    world
        .cache
        .apply(snapshot(5, (0..count).map(|at| for_user(&format!("e{at}"), u64::from(at), at)).collect()));
    assert_eq!(world.issue(), 0, "nothing is fetched ahead");
    assert_eq!(world.acknowledgeable(), Some(5), "nothing is owed either");
    let mut in_use = Vec::new();
    for uid in 0..count {
        let mut subscription = world.cache.subscribe(user(uid));
        assert_eq!(world.issue(), 1);
        subscription.next().await.unwrap();
        in_use.push(subscription);
    }
    assert_eq!(world.cache.svid_count(), count as usize, "those in use are never limited");
    in_use.clear();
    assert_eq!(world.cache.svid_count(), UNUSED_LIMIT, "of those unused the last are kept");
    assert!(world.cache.current(&"e0".parse().unwrap()).is_none());
    assert!(world.cache.current(&format!("e{}", count - 1).parse().unwrap()).is_some());
}

#[test]
fn those_in_use_are_issued_first_and_never_more_than_a_batch() {
    let world = World::new();
    world
        .cache
        .apply(snapshot(5, (0..900).map(|at| for_user(&format!("e{at}"), u64::from(at), at)).collect()));
    let _subscription = world.cache.subscribe(user(899));
    let due = world.cache.due(&POLICY).issue;
    assert_eq!((due.len(), due[0].id.as_str()), (500, "e899"));
    assert_eq!(world.cache.due(&POLICY).issue.len(), 400, "what is under way is not asked for twice");
}

#[test]
fn a_commit_is_acknowledged_when_its_svids_are_there_or_refused() {
    let world = World::with(&["a"]);
    assert_eq!(world.acknowledgeable(), Some(5));
    world.cache.apply(delta(8, vec![entry("b", 8)], &[]));
    assert_eq!(world.acknowledgeable(), Some(7));
    world.fail(Outcome::Unreached);
    assert_eq!(world.acknowledgeable(), Some(7), "the server has not been asked");
    world.cache.retry_now();
    world.fail(Outcome::Refused);
    assert_eq!(world.acknowledgeable(), Some(8));
    world.cache.apply(delta(9, Vec::new(), &["a"]));
    assert_eq!(world.acknowledgeable(), Some(9));
}

#[tokio::test]
async fn a_commit_waits_for_the_sinks_that_it_concerns() {
    let world = World::with(&["a", "b"]);
    let id = "spiffe://td.example/a".parse().unwrap();
    let ticket = world.cache.register_sink(&id);
    let mut subscription = world.cache.subscribe_identity(&id);
    subscription.next().await.unwrap();
    world.cache.apply(delta(
        6,
        vec![NodeEntry {
            x509_ttl_s: 300,
            ..entry("b", 2)
        }],
        &[],
    ));
    world.issue();
    assert_eq!(world.acknowledgeable(), Some(6), "not concerned");
    world.cache.apply(delta(7, Vec::new(), &["a"]));
    assert_eq!(world.acknowledgeable(), Some(6));
    assert!(subscription.next().await.unwrap_err().is_denied());
    ticket.delivered(subscription.revision().unwrap());
    assert_eq!(world.acknowledgeable(), Some(7));
}

#[tokio::test]
async fn a_cleared_cache_serves_nobody() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.start_anew();
    assert_eq!(subscription.next().await.unwrap_err(), Unserved::Starting);
    assert_eq!((world.cache.entry_count(), world.cache.resume_after()), (0, None));
    world.cache.apply(snapshot(2, vec![entry("a", 1)]));
    world.issue();
    subscription.next().await.unwrap();
}

#[test]
fn facts_that_cost_are_wanted_only_when_an_entry_asks() {
    let world = World::new();
    let asking = |selector: &str| NodeEntry {
        selectors: vec!["unix:uid:1".parse().unwrap(), selector.parse().unwrap()],
        ..entry("a", 1)
    };
    for (selector, expected) in [
        ("unix:gid:1", WantedFacts::default()),
        (
            "unix:path:/bin/x",
            WantedFacts {
                path: true,
                ..WantedFacts::default()
            },
        ),
        (
            "unix:sha256:aa",
            WantedFacts {
                sha256: true,
                ..WantedFacts::default()
            },
        ),
        (
            "unix:user:ada",
            WantedFacts {
                user: true,
                ..WantedFacts::default()
            },
        ),
    ] {
        world.cache.apply(snapshot(5, vec![asking(selector)]));
        assert_eq!(*world.cache.wanted_kinds(), expected, "{selector}");
    }
}

#[test]
fn every_renewal_comes_within_half_a_life_and_is_asked_for_once() {
    let world = World::with(&["a"]);
    let Some(next) = world.cache.due(&POLICY).next else {
        panic!("nothing planned")
    };
    assert!(next <= world.clock.now().since_boot + TTL / 2);
    world.clock.advance(TTL / 2);
    assert_eq!(world.cache.due(&POLICY).issue.len(), 1);
    assert_eq!(world.cache.due(&POLICY).issue.len(), 0);
}

/// One thing that happens to a cache.
#[derive(Debug, Clone)]
enum Event {
    Advance(u16),
    Delete(u8),
    Fail,
    Issue,
    Subscribe(u8),
    Unsubscribe(u8),
    Upsert(u8, u8, u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (1_u16..400).prop_map(Event::Advance),
        (0_u8..6).prop_map(Event::Delete),
        Just(Event::Fail),
        Just(Event::Issue),
        (0_u8..3).prop_map(Event::Subscribe),
        (0_u8..3).prop_map(Event::Unsubscribe),
        (0_u8..6, 0_u8..3, 10_u16..600).prop_map(|(id, uid, ttl)| Event::Upsert(id, uid, ttl)),
    ];
    proptest::collection::vec(event, 1..60)
}

proptest! {
    /// Whatever happens: what a subscriber is served is what its selectors entitle it to, valid, in order; and once all is issued, all of it.
    #[test]
    fn subscribers_are_served_exactly_what_is_theirs_and_valid(events in events()) {
        let world = World::new();
        world.cache.apply(snapshot(1, Vec::new()));
        let mut counter = 1;
        let mut entries: std::collections::BTreeMap<u8, NodeEntry> = std::collections::BTreeMap::new();
        let mut open: Vec<(u8, Subscription)> = Vec::new();
        for event in events {
            match event {
                Event::Advance(seconds) => world.clock.advance(Duration::from_secs(u64::from(seconds))),
                Event::Delete(id) => {
                    counter += 1;
                    entries.remove(&id);
                    world.cache.apply(delta(counter, Vec::new(), &[&format!("e{id}")]));
                }
                Event::Fail => { world.fail(Outcome::Unreached); }
                Event::Issue => { world.issue(); }
                Event::Subscribe(uid) => open.push((uid, world.cache.subscribe(user(u32::from(uid))))),
                Event::Unsubscribe(uid) => open.retain(|(of, _)| *of != uid),
                Event::Upsert(id, uid, ttl) => {
                    counter += 1;
                    let changed = NodeEntry { x509_ttl_s: u64::from(ttl), revision: revision(counter), ..for_user(&format!("e{id}"), u64::from(id), u32::from(uid)) };
                    entries.insert(id, changed.clone());
                    world.cache.apply(delta(counter, vec![changed], &[]));
                }
            }
            for (uid, _) in &open {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let served = runtime.block_on(async { tokio::time::timeout(Duration::ZERO, world.cache.subscribe(user(u32::from(*uid))).next()).await });
                let Ok(Ok(view)) = served else { continue };
                let mine: Vec<String> = entries.values().filter(|entry| entry.selectors[0].as_str() == format!("unix:uid:{uid}")).map(|entry| entry.spiffe_id.to_string()).collect();
                let got: Vec<String> = view.svids.iter().map(|svid| svid.spiffe_id.to_string()).collect();
                prop_assert!(got.iter().all(|id| mine.contains(id)), "{got:?} of {mine:?}");
                prop_assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{got:?}");
                prop_assert!(view.svids.iter().all(|svid| svid.expires_at > world.clock.now().wall));
            }
        }
        world.clock.advance(Duration::from_secs(3_600));
        world.issue();
        prop_assert_eq!(world.cache.svid_count(), entries.len());
        prop_assert_eq!(world.acknowledgeable(), Some(counter));
    }
}
