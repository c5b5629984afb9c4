//! A server's clock that goes astray, and one that is right after a long time.

use std::time::Duration;

use trust_domains::clock::Clock as _;
use trust_domains::plan::authority::{AuthorityId, AuthorityProblem};

use super::running::operator;
use super::world::{DAY, HOUR, MINUTE, World};

const TWO_YEARS: i64 = 2 * 365 * 86_400;

const AGENTS: usize = 10;

/// Lets calm days pass, each step checked.
async fn calm(world: &mut World, days: u32) {
    let end = world.since_boot() + DAY * days;
    while world.since_boot() < end {
        world.advance(world.pause(HOUR, HOUR * 4));
        world.step().await;
    }
}

/// Returns which of these authorities are there no more, though they have not ended.
fn forgotten(world: &World, before: &[(AuthorityId, trust_domains::Timestamp)]) -> Vec<AuthorityId> {
    let (now, held) = (world.now(), world.server().authorities());
    let lives = before.iter().filter(|(_, not_after)| now < *not_after);
    lives.filter(|authority| !held.contains(authority)).map(|(id, _)| id.clone()).collect()
}

/// Returns how many of the bundle's authorities are not in the one that the server hands out now.
fn withdrawn(world: &World, before: &trust_domains::TrustBundle) -> usize {
    let now = world.server().bundle();
    let roots = before.x509_authorities().iter().filter(|root| !now.x509_authorities().contains(root)).count();
    roots + before.jwt_authorities().iter().filter(|key| !now.jwt_authorities().contains(key)).count()
}

fn is_clock_problem(problem: &AuthorityProblem) -> bool {
    matches!(problem, AuthorityProblem::ClockJumped { .. } | AuthorityProblem::ClockBehind { .. })
}

/// Agents' clocks are right. Workloads of the slow class live through the hour, since they would without a server.
#[tokio::test]
async fn a_clock_two_years_ahead_for_an_hour_and_back_costs_nobody_anything() {
    for restarts in [false, true] {
        let mut world = World::new(AGENTS, 11).await;
        calm(&mut world, 9).await;
        let (before, bundle) = (world.server().authorities(), world.server().bundle());

        world.clock.step_wall(TWO_YEARS);
        if restarts && !world.try_restart().await {
            // By that clock nothing signs: it starts when the clock is right.
            world.advance(HOUR);
            world.clock.step_wall(-TWO_YEARS);
            world.start().await;
        } else {
            for _ in 0..12 {
                world.advance(MINUTE * 5);
                world.turn().await;
                world.check_fleet();
                assert_eq!(forgotten(&world, &before), [], "while the clock is ahead");
                assert_eq!(withdrawn(&world, &bundle), 0, "while the clock is ahead");
            }
            world.clock.step_wall(-TWO_YEARS);
        }

        world.turn().await;
        assert_eq!(forgotten(&world, &before), []);
        assert_eq!(withdrawn(&world, &bundle), 0);
        world.check_fleet();
        // A key for tokens that the wild clock made takes one round of acknowledgements to be replaced.
        for _ in 0..3 {
            world.advance(Duration::from_secs(10));
            world.turn().await;
        }
        world.step().await;
        world.server().rooms.authorities.issuing(world.clock.now()).unwrap();
        world.server().rooms.authorities.jwt_key(world.clock.now()).unwrap();
        assert_eq!(forgotten(&world, &before), []);
        assert_eq!(withdrawn(&world, &bundle), 0);

        calm(&mut world, 10).await;
        // The first root lives for a year, and nothing longer.
        let ends_at_most = world.now() + DAY * 366;
        let views = world.server().rooms.authorities.views(&[]);
        let strange: Vec<_> = views.iter().filter(|view| view.not_after > ends_at_most).collect();
        assert!(strange.is_empty(), "left of that hour: {strange:?}");
    }
}

#[tokio::test]
async fn what_a_server_held_that_was_away_for_long_goes_when_an_operator_says_that_its_clock_is_right() {
    let mut world = World::new(AGENTS, 12).await;
    calm(&mut world, 3).await;
    let before = world.server().authorities();
    world.restart(DAY * 40).await;
    // It signs at once, and destroys nothing: nobody knows yet whether that much time has passed.
    for _ in 0..6 {
        world.advance(MINUTE * 20);
        world.turn().await;
        world.check_fleet();
    }
    let now = world.clock.now();
    assert!(!world.server().rooms.authorities.may_destroy(now));
    let held = world.server().authorities();
    assert!(before.iter().all(|authority| held.contains(authority)), "what has ended is kept");
    let problems = world.server().rooms.authorities.problems().borrow().clone();
    assert!(problems.iter().any(is_clock_problem), "{problems:?}");

    let accepted = world
        .server()
        .rooms
        .authorities
        .accept_clock(Some("it was in a store-room"), &operator())
        .await
        .unwrap();
    assert!(accepted.released.is_some());
    world.step().await;
    let kept = world.server().authorities();
    assert!(kept.iter().all(|(_, not_after)| now.wall < *not_after), "what has ended is gone");
    calm(&mut world, 10).await;
}
