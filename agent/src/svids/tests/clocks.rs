//! A server whose clock is hours ahead of the node's.

use trust_domains::clock::Reading;

use super::*;

/// How far the server's clock is ahead.
const AHEAD: Duration = Duration::from_secs(3 * 3_600);

impl World {
    /// Issues everything that is due as a server whose clock is ahead; returns how many were asked for.
    fn issue_ahead(&self) -> usize {
        let now = self.clock.now();
        let due = self.cache.due(&POLICY).issue;
        let ahead = Reading { wall: now.wall + AHEAD, ..now };
        let count = due.len();
        self.cache.settle(
            due.into_iter().map(|entry| (entry.clone(), Outcome::Issued(held(&entry, ahead)))).collect(),
            Jitter::NONE,
        );
        count
    }
}

#[tokio::test]
async fn a_valid_svid_is_kept_rather_than_one_from_the_future_and_the_report_says_so_until_its_end_is_near() {
    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    let first = subscription.next().await.unwrap().svids[0].expires_at;
    world.clock.advance(TTL / 2);
    assert_eq!(world.issue_ahead(), 1, "its renewal is due");
    assert!(is_quiet(&mut subscription).await, "the valid one stays");
    let report = world.cache.report(&"a".parse().unwrap()).unwrap();
    assert!(report.last_error.is_some_and(|error| error.contains("compare the clocks")));
    assert_eq!(report.svid.map(|svid| svid.expires_at), Some(first));

    world.clock.advance(TTL * 45 / 100);
    assert_eq!(world.issue_ahead(), 1, "it was tried again");
    let next = subscription.next().await.unwrap().svids[0].expires_at;
    assert!(next > first + AHEAD, "one that peers may believe is better than none");
}

#[tokio::test]
async fn an_svid_from_the_future_is_taken_where_there_is_none_or_the_one_held_must_go() {
    let world = World::new();
    world.cache.apply(snapshot(5, vec![entry("a", 1)]));
    let mut subscription = world.cache.subscribe(user(1_000));
    assert_eq!(world.issue_ahead(), 1);
    assert_eq!(names(&subscription.next().await.unwrap()), ["/a"]);

    let world = World::with(&["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    let first = subscription.next().await.unwrap().svids[0].expires_at;
    world.cache.apply(delta(
        6,
        vec![NodeEntry {
            hint: Some("other".to_owned()),
            ..entry("a", 6)
        }],
        &[],
    ));
    assert_eq!(world.issue_ahead(), 1);
    // The change itself is told first, with the SVID that there was.
    let mut shown = subscription.next().await.unwrap().svids[0].expires_at;
    if shown == first {
        shown = subscription.next().await.unwrap().svids[0].expires_at;
    }
    assert_eq!(shown, first + AHEAD, "the change is not held up");
}
