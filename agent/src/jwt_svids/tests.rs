//! The cache by itself: what it asks for, what it gives, and what it drops.

mod taint;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trust_domains::clock::{Clock as _, ManualClock, Reading};
use trust_domains::plan::rotation::{Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Revision, Timestamp};

use super::audience::Audience;
use super::bounds::{MAX_HELD, MAX_HELD_OCTETS, MAX_HELD_PER_ENTRY};
use super::held::Order;
use super::state::{Asked, MAX_WANTED, Outcome, State};
use super::testing::{TOKEN_LIFE, held, issued};
use super::token::{JwtSvid, Unobtained};
use crate::svids::testing::{entry, revision};

struct World {
    state: State,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self {
            state: State::default(),
            clock: ManualClock::new(Timestamp::from_unix(1_000_000)),
        }
    }

    fn now(&self) -> Reading {
        self.clock.now()
    }

    fn ask(&mut self, entry: &Arc<NodeEntry>, audience: &str) -> Asked {
        self.ask_when(entry, audience, true)
    }

    fn ask_when(&mut self, entry: &Arc<NodeEntry>, audience: &str, reachable: bool) -> Asked {
        let now = self.now();
        self.state.ask(entry, &of(audience), reachable, now, &RotationPolicy::default())
    }

    fn due(&mut self) -> Vec<Order> {
        let now = self.now();
        self.state.due(now, &RotationPolicy::default())
    }

    /// Answers everything that is due, and returns how much that was.
    fn issue(&mut self) -> usize {
        let (orders, now) = (self.due(), self.now());
        let count = orders.len();
        self.state
            .settle(orders.into_iter().map(|order| issued(order, now)).collect(), Jitter::NONE, now);
        count
    }

    fn fail(&mut self, outcome: fn(String) -> Outcome) -> usize {
        let (orders, now) = (self.due(), self.now());
        let count = orders.len();
        let failed = orders.into_iter().map(|order| (order, outcome("because".to_owned())));
        self.state.settle(failed.collect(), Jitter::NONE, now);
        count
    }

    /// A token that is held from now on.
    fn hold(&mut self, entry: &Arc<NodeEntry>, audience: &str) {
        let Asked::Wait(_caller, _) = self.ask(entry, audience) else {
            panic!("held already")
        };
        assert_eq!(self.issue(), 1);
    }

    fn holds(&mut self, entry: &Arc<NodeEntry>, audience: &str) -> bool {
        matches!(self.ask_when(entry, audience, false), Asked::Now(Ok(_)))
    }
}

fn of(audience: &str) -> Audience {
    Audience::of(vec![audience.to_owned()]).unwrap()
}

fn web() -> Arc<NodeEntry> {
    Arc::new(entry("web", 1))
}

fn told(asked: Asked) -> Result<Arc<JwtSvid>, Unobtained> {
    match asked {
        Asked::Now(answer) => answer,
        Asked::Wait(mut answer, _) => answer.try_recv().expect("an answer"),
    }
}

#[test]
fn many_callers_of_one_audience_make_one_order_and_get_one_token() {
    let (mut world, web) = (World::new(), web());
    let callers: Vec<_> = (0..100).map(|_| world.ask(&web, "db")).collect();
    let other = world.ask(&web, "cache");
    assert_eq!(world.issue(), 2);
    let tokens: Vec<_> = callers.into_iter().map(|caller| told(caller).unwrap()).collect();
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
    assert!(!Arc::ptr_eq(&told(other).unwrap(), &tokens[0]));
    assert!(Arc::ptr_eq(&told(world.ask(&web, "db")).unwrap(), &tokens[0]), "and from then on it is there");
    assert_eq!(world.issue(), 0);
}

#[test]
fn callers_who_come_while_a_token_is_on_its_way_wait_for_that_one() {
    let (mut world, web) = (World::new(), web());
    let first = world.ask(&web, "db");
    let (orders, now) = (world.due(), world.now());
    let second = world.ask(&web, "db");
    assert!(world.due().is_empty());
    world
        .state
        .settle(orders.into_iter().map(|order| issued(order, now)).collect(), Jitter::NONE, now);
    assert!(Arc::ptr_eq(&told(first).unwrap(), &told(second).unwrap()));
}

#[test]
fn a_used_token_is_renewed_at_half_of_its_life_and_an_unused_one_ends() {
    let (mut world, web) = (World::new(), web());
    world.hold(&web, "db");
    world.clock.advance(TOKEN_LIFE / 2 - Duration::from_secs(1));
    assert_eq!(world.issue(), 0);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.issue(), 1, "it was asked for in this life");
    world.clock.advance(TOKEN_LIFE / 2 + Duration::from_secs(2));
    assert_eq!(world.issue(), 0, "nobody asked for the second");
    world.clock.advance(TOKEN_LIFE / 2);
    assert_eq!((world.issue(), world.state.held(world.now())), (0, 0));
    assert_eq!(world.state.next_look(world.now()), None, "and nothing is left of it");
}

#[test]
fn a_clock_that_was_set_renews_what_is_held_and_used() {
    let (mut world, web) = (World::new(), web());
    world.hold(&web, "db");
    world.clock.step_wall(-3_600);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.issue(), 1);
}

#[test]
fn past_its_renewal_a_token_is_given_at_once_only_while_no_better_one_can_come() {
    let (mut world, web) = (World::new(), web());
    world.hold(&web, "db");
    world.clock.advance(TOKEN_LIFE * 3 / 4);
    assert!(matches!(world.ask_when(&web, "db", false), Asked::Now(Ok(_))), "the server is away");
    let Asked::Wait(answer, Some(held)) = world.ask(&web, "db") else {
        panic!("a fresh one may come")
    };
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert!(
        Arc::ptr_eq(&told(Asked::Wait(answer, None)).unwrap(), &held),
        "the failure costs nobody the valid token"
    );
    assert!(matches!(world.ask(&web, "db"), Asked::Now(Ok(_))), "nor does the next caller wait again");
    world.clock.advance(TOKEN_LIFE / 4);
    assert!(matches!(world.ask(&web, "db"), Asked::Wait(_, None)), "one that ended is never given");
}

#[test]
fn a_refusal_is_not_asked_for_again_at_once_and_an_outage_is() {
    let (mut world, web) = (World::new(), web());
    let caller = world.ask(&web, "db");
    assert_eq!(world.fail(Outcome::Refused), 1);
    let refused = Unobtained::Refused("because".to_owned());
    assert_eq!(told(caller).unwrap_err(), refused);
    assert_eq!(told(world.ask(&web, "db")).unwrap_err(), refused);
    assert_eq!(world.issue(), 0);
    world.clock.advance(Duration::from_secs(2));
    assert!(matches!(world.ask(&web, "db"), Asked::Wait(_, None)));

    let caller = world.ask(&web, "cache");
    assert_eq!(world.fail(Outcome::Unreached), 1, "nobody waits for the other");
    assert_eq!(told(caller).unwrap_err(), Unobtained::Unreached("because".to_owned()));
    assert!(matches!(world.ask(&web, "cache"), Asked::Wait(_, None)));
}

#[test]
fn the_return_of_the_server_ends_the_wait_after_failures() {
    let (mut world, web) = (World::new(), web());
    world.hold(&web, "db");
    world.clock.advance(TOKEN_LIFE / 2 + Duration::from_secs(1));
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert_eq!(world.issue(), 0);
    let now = world.now();
    world.state.retry_now(now);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.issue(), 1);
}

#[test]
fn a_token_goes_with_its_entry_or_a_change_of_it() {
    let (mut world, web) = (World::new(), web());
    let db = Arc::new(entry("db", 2));
    world.hold(&web, "x");
    world.hold(&db, "x");
    let waiting = world.ask(&db, "y");
    world.state.keep(&HashMap::from([(web.id.clone(), web.revision)]));
    assert_eq!(told(waiting).unwrap_err(), Unobtained::EntryChanged);
    assert!(world.holds(&web, "x") && !world.holds(&db, "x"));
    world.state.keep(&HashMap::from([(web.id.clone(), revision(9))]));
    assert!(!world.holds(&web, "x"));
}

#[test]
fn a_token_of_an_entry_as_it_was_answers_nobody_who_asks_by_what_it_is() {
    let (mut world, web) = (World::new(), web());
    world.hold(&web, "db");
    let changed = Arc::new(NodeEntry {
        revision: Revision { epoch: 1, counter: 7 },
        ..entry("web", 1)
    });
    let caller = world.ask(&changed, "db");
    assert!(matches!(caller, Asked::Wait(_, None)));
    // One that was ordered before the change, and comes after it.
    let old = world.ask(&web, "api");
    let (orders, now) = (world.due(), world.now());
    let new = world.ask(&changed, "api");
    world
        .state
        .settle(orders.into_iter().map(|order| issued(order, now)).collect(), Jitter::NONE, now);
    assert!(matches!(&old, Asked::Wait(answer, _) if answer.is_empty()), "not answered yet");
    assert_eq!(world.issue(), 1);
    assert!(told(old).is_ok() && told(new).is_ok() && told(caller).is_ok());
}

#[test]
fn callers_who_went_away_leave_no_order_behind() {
    let (mut world, web) = (World::new(), web());
    for number in 0..100 {
        drop(world.ask(&web, &number.to_string()));
    }
    let stays = world.ask(&web, "stays");
    assert_eq!(world.issue(), 1);
    assert!(told(stays).is_ok());
    assert_eq!(world.state.held(world.now()), 1);
}

#[test]
fn an_entry_that_asks_for_a_new_audience_each_time_drops_its_own_oldest_and_no_others() {
    let (mut world, web) = (World::new(), web());
    let db = Arc::new(entry("db", 2));
    world.hold(&db, "quiet");
    let first = held(&web, &of("0"), world.now());
    let now = world.now();
    for number in 0..MAX_HELD_PER_ENTRY + 50 {
        let _waiting = world.ask(&web, &number.to_string());
        let outcome = |order| (order, Outcome::Issued(first.clone()));
        let orders = world.due();
        world.state.settle(orders.into_iter().map(outcome).collect(), Jitter::NONE, now);
        assert!(world.holds(&web, "0"), "it is used all the time");
    }
    assert_eq!(world.state.held(now), MAX_HELD_PER_ENTRY + 1);
    assert!(!world.holds(&web, "5") && world.holds(&web, &(MAX_HELD_PER_ENTRY + 49).to_string()) && world.holds(&db, "quiet"));
}

#[test]
fn what_is_held_is_bounded_in_number_and_octets() {
    let mut world = World::new();
    let now = world.now();
    let fill = |world: &mut World, entries: usize, audience: &str| {
        for number in 0..entries {
            let entry = Arc::new(entry(&format!("e{number}"), 1));
            let _waiting = world.ask(&entry, audience);
            let orders = world.due();
            let outcome = |order: Order| {
                let mut held = held(&order.entry, &of("x"), now);
                Arc::get_mut(&mut held.svid).unwrap().token = "t".repeat(audience.len() * 2).into();
                (order, Outcome::Issued(held))
            };
            world.state.settle(orders.into_iter().map(outcome).collect(), Jitter::NONE, now);
        }
        world.state.held(now)
    };
    assert_eq!(fill(&mut world, MAX_HELD + 10, "x"), MAX_HELD);
    let long = "x".repeat(2_000);
    let count = fill(&mut world, 4_000, &long);
    assert!(count * 6_000 < MAX_HELD_OCTETS + 6_000 && count > 2_000, "{count}");
}

#[test]
fn what_is_waited_for_is_bounded() {
    let (mut world, web) = (World::new(), web());
    let callers: Vec<_> = (0..MAX_WANTED).map(|number| world.ask(&web, &number.to_string())).collect();
    assert_eq!(told(world.ask(&web, "more")).unwrap_err(), Unobtained::Full { limit: MAX_WANTED });
    assert!(matches!(world.ask(&web, "1"), Asked::Wait(_, None)), "one that is on its way may be waited for");
    while world.issue() > 0 {}
    assert!(callers.into_iter().all(|caller| told(caller).is_ok()));
}

#[test]
fn a_batch_of_long_audiences_stays_small() {
    let (mut world, web) = (World::new(), web());
    let callers: Vec<_> = (0..200).map(|number| world.ask(&web, &format!("{number}{}", "x".repeat(2_000)))).collect();
    assert!((60..70).contains(&world.issue()));
    drop(callers);
}

proptest! {
    /// Whatever happens in whatever order: nobody is given a token that ended or is another entry's, and nobody waits for ever.
    #[test]
    fn nothing_that_ended_is_given_and_nobody_is_forgotten(steps in proptest::collection::vec((0u8..7, 0usize..3, 0usize..3), 1..120)) {
        let mut world = World::new();
        let mut entries: Vec<Arc<NodeEntry>> = ["a", "b", "c"].iter().map(|id| Arc::new(entry(id, 1))).collect();
        let mut waiting = Vec::new();
        for (step, which, audience) in steps {
            match step {
                0 | 1 => match world.ask(&entries[which], ["x", "y", "z"][audience]) {
                    Asked::Now(Ok(svid)) => {
                        prop_assert!(svid.expires_at > world.now().wall);
                        prop_assert_eq!(&svid.spiffe_id, &entries[which].spiffe_id);
                    }
                    Asked::Now(Err(_)) => {}
                    Asked::Wait(answer, _) => waiting.push(answer),
                },
                2 => { world.issue(); }
                3 => { world.fail(Outcome::Unreached); }
                4 => { world.fail(Outcome::Refused); }
                5 => world.clock.advance(Duration::from_secs(40)),
                _ => {
                    let mut changed = (*entries[which]).clone();
                    changed.revision.counter += 1;
                    entries[which] = Arc::new(changed);
                    if audience > 0 {
                        let present = entries.iter().map(|entry| (entry.id.clone(), entry.revision)).collect();
                        world.state.keep(&present);
                    }
                }
            }
        }
        while world.issue() > 0 {}
        for mut answer in waiting {
            prop_assert!(answer.try_recv().is_ok(), "a caller was forgotten");
        }
        world.clock.advance(TOKEN_LIFE * 2);
        while world.issue() > 0 {}
        world.clock.advance(TOKEN_LIFE * 2);
        world.issue();
        prop_assert_eq!(world.state.held(world.now()), 0);
    }
}
