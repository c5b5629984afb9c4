//! What a doubtful clock holds, and an operator's word that releases it.

use super::*;
use crate::decisions::Cause;

fn operator() -> Cause {
    Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    }
}

fn words(authorities: &Authorities) -> Vec<&'static str> {
    authorities.problems().borrow().iter().map(AuthorityProblem::word).collect()
}

#[tokio::test]
async fn what_a_jump_held_goes_on_when_an_operator_says_that_the_clock_is_right() {
    let world = World::new().await;
    world.clock.advance(HOUR * 2);
    world.authorities.look().await.unwrap();
    world.clock.step_wall(30 * 86_400);
    let world = world.restarted().await;
    for _ in 0..30 {
        world.clock.advance(HOUR);
        world.authorities.look().await.unwrap();
    }
    assert_eq!(words(&world.authorities), ["clock_jumped"], "however long it is steady");
    let held = world.authorities.states(world.now()).len();

    let accepted = world.authorities.accept_clock(Some("checked against two others"), &operator()).await.unwrap();
    assert_eq!(accepted.at, world.now());
    assert!(accepted.released.unwrap().contains("clock-ok"));
    world.authorities.look().await.unwrap();
    assert_eq!(words(&world.authorities), Vec::<&str>::new());
    assert!(world.authorities.states(world.now()).len() < held, "what ended is forgotten");
    assert!(world.authorities.may_destroy(world.clock.now()));
    let taken = world.tap.taken.lock().unwrap();
    let decision = taken.iter().find_map(|event| match event {
        AuditEvent::Decided(decision) if decision.action == "clock_accepted" => Some(decision.clone()),
        _ => None,
    });
    let decision = decision.unwrap();
    assert_eq!(
        (decision.actor.as_str(), decision.reason.as_deref()),
        ("local:uid:0", Some("checked against two others"))
    );
}

#[tokio::test]
async fn a_clock_two_years_ahead_for_an_hour_then_back_destroys_nothing() {
    let world = World::new().await;
    world.clock.advance(HOUR * 3);
    world.authorities.look().await.unwrap();
    let before = world.authorities.states(world.now());
    world.clock.step_wall(2 * 365 * 86_400);
    for _ in 0..12 {
        world.authorities.look().await.unwrap();
        world.clock.advance(HOUR / 6);
    }
    assert!(words(&world.authorities).contains(&"clock_jumped"));
    world.clock.step_wall(-2 * 365 * 86_400);
    world.authorities.look().await.unwrap();
    let after = world.authorities.states(world.now());
    for state in &before {
        assert!(after.iter().any(|other| other.id == state.id), "{state:?} is gone");
    }
    let roots = |states: &[trust_domains::plan::authority::AuthorityState]| {
        states.iter().filter(|state| state.kind == AuthorityKind::X509Root).cloned().collect::<Vec<_>>()
    };
    assert_eq!(roots(&before), roots(&after));
    world.authorities.issuing(world.clock.now()).unwrap();
    world.authorities.jwt_key(world.clock.now()).unwrap();
    assert!(after.len() <= before.len() + 2, "{after:?}");
    assert!(!words(&world.authorities).contains(&"clock_behind"), "what it said was never stored");
    // And the same over a restart in the wild hour.
    world.clock.step_wall(2 * 365 * 86_400);
    let world = world.restarted().await;
    world.authorities.look().await.unwrap();
    world.clock.step_wall(-2 * 365 * 86_400);
    let world = world.restarted().await;
    world.authorities.look().await.unwrap();
    assert_eq!(roots(&before), roots(&world.authorities.states(world.now())));
    world.authorities.issuing(world.clock.now()).unwrap();
}

#[tokio::test]
async fn an_operators_word_counts_where_a_wrong_time_was_stored() {
    let world = World::new().await;
    world.clock.step_wall(2 * 365 * 86_400);
    world.authorities.accept_clock(None, &operator()).await.unwrap();
    world.clock.step_wall(-2 * 365 * 86_400);
    let world = world.restarted().await;
    world.authorities.look().await.unwrap();
    assert_eq!(words(&world.authorities), ["clock_behind"], "an operator was wrong");
    assert_eq!(world.authorities.issuing(world.clock.now()).unwrap_err().code(), Code::IssuerUnavailable);
    world.authorities.accept_clock(None, &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    world.authorities.issuing(world.clock.now()).unwrap();
    let world = world.restarted().await;
    world.authorities.issuing(world.clock.now()).unwrap();
}
