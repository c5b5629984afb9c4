//! The cache by itself: what it asks for, what it shows, and what it drops.

mod taint;

use std::sync::Arc;
use std::time::Duration;

use conformance::covers;
use futures_util::FutureExt as _;
use proptest::prelude::*;
use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;

use super::held::Order;
use super::state::{KEPT_UNFOLLOWED, MAX_UNFOLLOWED, Outcome};
use super::testing::{WIT_LIFE, held, issue_all};
use super::{Followed, Look, WitCache, WitSvid};
use crate::svids::SvidCache;
use crate::svids::testing::{entry, revision, snapshot};

struct World {
    clock: ManualClock,
    entries: SvidCache,
    tokens: WitCache,
}

impl World {
    fn new(entries: Vec<NodeEntry>) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let world = Self {
            entries: SvidCache::new(clock.shared()),
            tokens: WitCache::new(clock.shared()),
            clock,
        };
        world.set(1, entries);
        world
    }

    /// Says which entries there are now.
    fn set(&self, counter: u64, entries: Vec<NodeEntry>) {
        self.entries.apply(snapshot(counter, entries));
        self.tokens.take_entries(&self.entries);
    }

    fn follow(&self, id: &str) -> Followed {
        self.tokens.follow(&self.entries.entry(&id.parse().unwrap()).unwrap())
    }

    fn due(&self) -> Vec<Order> {
        self.tokens.due(&RotationPolicy::default()).issue
    }

    fn issue(&self) -> usize {
        issue_all(&self.tokens, self.clock.now())
    }

    fn fail(&self, outcome: fn(String) -> Outcome) -> usize {
        let orders = self.due();
        let count = orders.len();
        let failed = orders.into_iter().map(|order| (order, outcome("why".to_owned())));
        self.tokens.settle(failed.collect(), Jitter::NONE);
        count
    }
}

fn served(followed: &Followed) -> Arc<WitSvid> {
    match followed.look() {
        Look::Served(svid) => svid,
        other => panic!("{other:?}"),
    }
}

fn nothing(followed: &Followed) -> String {
    match followed.look() {
        Look::Nothing(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn rings(followed: &mut Followed) -> bool {
    followed.changed().now_or_never().is_some()
}

#[covers("WIT-16")]
#[test]
fn all_who_follow_an_entry_share_one_token_and_one_key() {
    let world = World::new(vec![entry("a", 1), entry("b", 2)]);
    assert_eq!(world.issue(), 0, "nobody asked");
    let (mut first, second) = (world.follow("a"), world.follow("a"));
    assert!(matches!(first.look(), Look::Coming));
    assert_eq!(world.issue(), 1, "one for both, and none for the entry that nobody follows");
    assert!(rings(&mut first));
    let third = world.follow("a");
    assert_eq!(world.issue(), 0);
    assert!(Arc::ptr_eq(&served(&first), &served(&second)) && Arc::ptr_eq(&served(&first), &served(&third)));
    let other = world.follow("b");
    world.issue();
    assert_ne!(served(&other).key.expose(), served(&first).key.expose());
}

#[test]
fn a_followed_token_is_replaced_at_half_of_its_life_with_a_new_key_and_shown_meanwhile() {
    let world = World::new(vec![entry("a", 1)]);
    let mut followed = world.follow("a");
    world.issue();
    assert!(rings(&mut followed));
    let first = served(&followed);
    world.clock.advance(WIT_LIFE / 2 - Duration::from_secs(1));
    assert_eq!(world.issue(), 0);
    world.clock.advance(Duration::from_secs(1));
    let orders = world.due();
    assert_eq!((orders.len(), world.due().len()), (1, 0), "asked for once");
    assert!(
        Arc::ptr_eq(&served(&followed), &first) && !rings(&mut followed),
        "while the new one is under way"
    );
    let now = world.clock.now();
    world
        .tokens
        .settle(orders.into_iter().map(|order| super::testing::issued(order, now)).collect(), Jitter::NONE);
    assert!(rings(&mut followed));
    let second = served(&followed);
    assert_ne!(second.key.expose(), first.key.expose());
}

#[test]
fn a_token_that_nobody_follows_is_found_again_for_a_while_and_never_renewed() {
    let world = World::new(vec![entry("a", 1)]);
    let first = {
        let followed = world.follow("a");
        world.issue();
        served(&followed)
    };
    world.clock.advance(WIT_LIFE / 2 + Duration::from_secs(1));
    assert_eq!((world.issue(), world.tokens.held()), (0, 1));
    let again = world.follow("a");
    assert!(Arc::ptr_eq(&served(&again), &first));
    assert_eq!(world.issue(), 1, "followed again, it is renewed");
    drop((again, first));
    world.clock.advance(KEPT_UNFOLLOWED - Duration::from_secs(1));
    world.issue();
    assert_eq!(world.tokens.held(), 1);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!((world.issue(), world.tokens.held()), (0, 0), "forgotten");
}

#[test]
fn while_the_server_is_away_a_valid_token_stays_and_one_that_ended_is_never_shown() {
    let world = World::new(vec![entry("a", 1)]);
    let mut followed = world.follow("a");
    world.issue();
    let first = served(&followed);
    world.clock.advance(WIT_LIFE / 2);
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert!(Arc::ptr_eq(&served(&followed), &first));
    assert_eq!(world.fail(Outcome::Unreached), 0, "not again at once");
    world.clock.advance(WIT_LIFE / 2 - Duration::from_secs(1));
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert!(Arc::ptr_eq(&served(&followed), &first), "to its last second");
    while rings(&mut followed) {}
    world.clock.advance(Duration::from_secs(1));
    assert!(!matches!(followed.look(), Look::Served(_)), "also before the loop has looked");
    world.fail(Outcome::Unreached);
    assert_eq!(nothing(&followed), "why");
    assert!(rings(&mut followed));
    world.tokens.retry_now();
    assert_eq!(world.issue(), 1, "the server is back");
    assert!(matches!(followed.look(), Look::Served(_)));
}

#[test]
fn a_refusal_is_told_to_who_comes_next_until_it_is_time_to_ask_again() {
    let world = World::new(vec![entry("a", 1)]);
    let first = world.follow("a");
    assert_eq!(world.fail(Outcome::Refused), 1);
    assert_eq!(nothing(&first), "why");
    drop(first);
    let second = world.follow("a");
    assert_eq!((nothing(&second).as_str(), world.due().len()), ("why", 0));
    world.clock.advance(Duration::from_secs(60));
    assert!(matches!(second.look(), Look::Coming));
    assert_eq!(world.issue(), 1);
    assert!(matches!(second.look(), Look::Served(_)));
}

#[test]
fn with_its_entry_a_token_goes_and_one_that_comes_back_is_another() {
    let world = World::new(vec![entry("a", 1), entry("b", 2)]);
    let (mut gone, mut stays) = (world.follow("a"), world.follow("b"));
    world.issue();
    assert!(rings(&mut gone) && rings(&mut stays));
    world.set(2, vec![entry("b", 2)]);
    assert!(rings(&mut gone) && !rings(&mut gone), "told once");
    assert!(!rings(&mut stays));
    assert!(nothing(&gone).contains("gone"));
    assert_eq!(world.tokens.held(), 1);
    world.set(3, vec![entry("a", 3), entry("b", 2)]);
    let back = world.follow("a");
    assert!(nothing(&gone).contains("gone"), "who followed the first does not get the second");
    drop(gone);
    world.issue();
    world.clock.advance(WIT_LIFE / 2);
    assert_eq!(world.issue(), 2, "and does not end it by leaving");
    drop(back);
}

#[test]
fn a_token_of_another_identity_than_the_entry_gives_now_is_shown_to_nobody() {
    let world = World::new(vec![entry("a", 1)]);
    let followed = world.follow("a");
    let asked_before = world.due();
    let renamed = NodeEntry {
        spiffe_id: "spiffe://td.example/renamed".parse().unwrap(),
        revision: revision(2),
        ..entry("a", 1)
    };
    world.set(2, vec![renamed.clone()]);
    let now = world.clock.now();
    world
        .tokens
        .settle(asked_before.into_iter().map(|order| super::testing::issued(order, now)).collect(), Jitter::NONE);
    assert!(matches!(followed.look(), Look::Coming), "what was asked for before the change");
    assert_eq!(world.issue(), 1);
    assert_eq!(served(&followed).spiffe_id, renamed.spiffe_id);

    let hinted = NodeEntry {
        hint: Some("x".to_owned()),
        revision: revision(3),
        ..renamed.clone()
    };
    let before = served(&followed);
    world.set(3, vec![hinted]);
    assert!(Arc::ptr_eq(&served(&followed), &before), "the same identity is shown meanwhile");
    assert_eq!((world.issue(), world.issue()), (1, 0), "and replaced once");
    let ended = NodeEntry {
        expires_at: Some(world.clock.now().wall),
        revision: revision(4),
        ..renamed
    };
    world.set(4, vec![ended]);
    assert_eq!(world.due().len(), 0);
    assert!(nothing(&followed).contains("ended"));
}

#[test]
fn a_token_that_is_newer_than_the_entry_known_here_is_not_asked_for_again() {
    let world = World::new(vec![entry("a", 1)]);
    let followed = world.follow("a");
    let now = world.clock.now();
    let newer = |order: Order| {
        let mut held = held(&order.entry, now);
        held.entry_revision = revision(9);
        (order, Outcome::Issued(held))
    };
    world.tokens.settle(world.due().into_iter().map(newer).collect(), Jitter::NONE);
    assert!(matches!(followed.look(), Look::Served(_)));
    assert_eq!(world.due().len(), 0);
}

#[test]
fn of_tokens_that_nobody_follows_the_least_recently_used_go_first_and_those_that_are_followed_stay() {
    let names: Vec<String> = (0..=MAX_UNFOLLOWED).map(|number| format!("e{number}")).collect();
    let world = World::new(names.iter().zip(1..).map(|(name, at)| entry(name, at)).collect());
    let mut followed: Vec<Followed> = names.iter().map(|name| world.follow(name)).collect();
    while world.issue() > 0 {}
    assert_eq!(world.tokens.held(), MAX_UNFOLLOWED + 1);
    let last = followed.pop().unwrap();
    drop(followed);
    assert_eq!(world.tokens.held(), MAX_UNFOLLOWED + 1);
    drop(last);
    assert_eq!(world.tokens.held(), MAX_UNFOLLOWED);
    let oldest = world.follow("e0");
    assert!(matches!(oldest.look(), Look::Coming), "it was dropped");
}

#[test]
fn no_key_and_no_token_is_in_a_debug_text() {
    let world = World::new(vec![entry("a", 1)]);
    let followed = world.follow("a");
    world.issue();
    let svid = served(&followed);
    let text = format!("{svid:?} {:?}", followed.look());
    assert!(text.contains("spiffe://td.example/a"));
    assert!(!text.contains(svid.token.as_str()) && !text.contains(svid.key.expose()), "{text}");
}

proptest! {
    #[test]
    fn whatever_happens_nothing_ended_or_foreign_is_shown_and_what_is_followed_comes(steps in proptest::collection::vec((0_u8..8, 0_u8..3), 1..60)) {
        let world = World::new(vec![entry("a", 1), entry("b", 2), entry("c", 3)]);
        let mut followed: Vec<Followed> = Vec::new();
        let mut counter = 3;
        for (step, which) in steps {
            let id = ["a", "b", "c"][usize::from(which)];
            match step {
                0 | 1 => if world.entries.entry(&id.parse().unwrap()).is_some() { followed.push(world.follow(id)) },
                2 => if !followed.is_empty() { followed.remove(0); },
                3 => { world.issue(); }
                4 => { world.fail(if which == 0 { Outcome::Unreached } else { Outcome::Refused }); }
                5 => world.clock.advance([WIT_LIFE / 4, WIT_LIFE / 2, WIT_LIFE][usize::from(which)]),
                6 => {
                    counter += 1;
                    let others = ["a", "b", "c"].into_iter().filter(|other| *other != id).map(|other| entry(other, counter));
                    world.set(counter, others.collect());
                }
                _ => {
                    counter += 1;
                    let all = ["a", "b", "c"].map(|each| NodeEntry {
                        spiffe_id: format!("spiffe://td.example/{each}{}", if each == id { counter } else { 0 }).parse().unwrap(),
                        ..entry(each, counter)
                    });
                    world.set(counter, all.to_vec());
                }
            }
            for one in &followed {
                if let Look::Served(svid) = one.look() {
                    prop_assert!(svid.expires_at > world.clock.now().wall);
                    prop_assert_eq!(&svid.spiffe_id, &world.entries.entry(one.entry()).unwrap().spiffe_id);
                }
            }
            prop_assert!(world.tokens.held() <= 3);
        }
        world.clock.advance(Duration::from_secs(60));
        while world.issue() > 0 {}
        for one in &followed {
            prop_assert!(matches!(one.look(), Look::Served(_)) || nothing(one).contains("gone"));
        }
    }
}
