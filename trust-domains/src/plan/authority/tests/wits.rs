//! The keys of WIT-SVIDs: planned as those of JWT-SVIDs while the policy has bounds for them, and not at all without.

use conformance::covers;

use super::*;
use crate::plan::authority::TokenPolicy;

/// Keys of ten minutes for tokens of three: the margin is 6 min, the lead 1 min.
fn quick() -> TokenPolicy {
    let seconds = Duration::from_secs;
    TokenPolicy::new(seconds(600), seconds(180), seconds(45), Some(seconds(5))).unwrap()
}

fn wit(number: u8, phase: Phase, left: Duration) -> AuthorityState {
    AuthorityState {
        kind: AuthorityKind::Wit,
        ..jwt(number, phase, left)
    }
}

fn decide_wits(keys: Vec<AuthorityState>, policy: &AuthorityPolicy) -> AuthorityPlan {
    let mut authorities = vec![good_root(), ends(201, Phase::Active, days(7)), good_jwt()];
    authorities.extend(keys);
    let clock = ClockEvidence {
        accepted: None,
        last_stored: Some(START),
    };
    plan(at(START), &AuthoritiesState::new(authorities, clock), policy)
}

#[test]
fn each_state_of_a_wit_key_leads_to_the_step_that_a_jwt_key_takes() {
    use Phase::{Active, Prepared};
    let on = policy().with_wit(TokenPolicy::new(days(7), days(1), days(1), None).unwrap());
    let none = PrepareReason::NoneActive;
    let soon = PrepareReason::EndsSoon { not_after: START + hours(78) };
    let unpublished = AuthorityState {
        publication: None,
        ..wit(3, Prepared, hours(150))
    };
    let signs = |number| Signing::With(id(number));
    let make = AuthorityAction::PrepareToken {
        kind: AuthorityKind::Wit,
        algorithm: TokenAlgorithm::Es256,
        not_after: START + days(7),
        reason: none,
    };
    let table = [
        ("none yet", vec![], vec![make], Signing::Stopped),
        (
            "not published",
            vec![unpublished],
            vec![AuthorityAction::Publish {
                id: id(3),
                refreshes: Duration::ZERO,
            }],
            Signing::Stopped,
        ),
        ("published", vec![wit(3, Prepared, hours(150))], vec![activate(3, none)], Signing::Stopped),
        ("signs", vec![wit(2, Active, days(7))], vec![], signs(2)),
        (
            "its time is over",
            vec![wit(2, Active, hours(78)), wit(3, Prepared, hours(150))],
            vec![hand_over(3, soon, &[2])],
            signs(2),
        ),
    ];
    for (what, keys, actions, signing) in table {
        let decided = decide_wits(keys, &on);
        assert_eq!((decided.actions, decided.wit_signing), (actions, signing), "{what}");
        assert_eq!((decided.jwt_signing, decided.signing), (signs(200), signs(201)), "{what}: all others go on");
    }
}

#[test]
fn without_the_switch_no_wit_key_is_made_and_none_signs_and_what_signed_stays_until_it_ended() {
    use Phase::{Active, Old, Prepared};
    let ended = AuthorityState {
        not_after: START - Duration::from_secs(61),
        ..wit(2, Active, hours(1))
    };
    let reason = ForgetReason::Ended { not_after: ended.not_after };
    let table = [
        ("never on", vec![], vec![]),
        ("one signed", vec![wit(2, Active, hours(1)), wit(3, Old, hours(1))], vec![]),
        ("it ended by the skew", vec![wit(2, Active, Duration::ZERO)], vec![]),
        ("it ended", vec![ended], vec![forget(2, reason)]),
        ("one never signed", vec![wit(2, Prepared, days(7))], vec![forget(2, ForgetReason::NotNeeded)]),
    ];
    for (what, keys, actions) in table {
        let decided = decide_wits(keys, &policy());
        assert_eq!((decided.actions, decided.wit_signing), (actions, Signing::Stopped), "{what}");
        assert_eq!(decided.problems, [], "{what}: that is no problem");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each tick the loop runs, or crashes after some actions; now and then somebody turns the switch.
    #[covers("WIT-22")]
    #[test]
    fn whoever_turns_the_switch_jwt_keys_never_notice_and_no_wit_key_goes_before_its_tokens(
        ticks in proptest::collection::vec((proptest::option::of(1_usize..5), proptest::bool::weighted(0.1)), 1..60),
    ) {
        let off = policy().with_jwt(quick());
        let on = off.with_wit(quick());
        let mut server = Server::new(off, days(365));
        server.perform(usize::MAX);
        let mut since_on = 0;
        for (crash, turn) in ticks.iter().cycle().take(400) {
            if *turn {
                server.policy = if server.policy.wit().is_some() { off } else { on };
                since_on = 0;
            }
            let before = server.state.authorities.clone();
            server.pass(Duration::from_secs(5), 0);
            server.perform(crash.unwrap_or(usize::MAX));
            server.store_time();
            since_on += 1;

            let (now, decided) = (server.now.wall, server.plan());
            assert!(matches!(decided.jwt_signing, Signing::With(_)), "JWT-SVIDs are signed all the time");
            let is_of = |kind: AuthorityKind| move |authority: &&AuthorityState| authority.kind == kind;
            for gone in before.iter().filter(is_of(AuthorityKind::Wit)).filter(|key| key.phase != Phase::Prepared) {
                let is_there = server.state.authorities.iter().any(|key| key.id == gone.id);
                assert!(is_there || gone.not_after < now, "{gone:?} vouches for tokens that are good");
            }
            let wits = server.state.authorities.iter().filter(is_of(AuthorityKind::Wit)).count();
            assert!(wits <= 6, "what has ended is forgotten");
            match server.policy.wit() {
                None => {
                    assert_eq!(decided.wit_signing, Signing::Stopped);
                    let made = |authorities: &[AuthorityState]| authorities.iter().filter(|key| key.kind == AuthorityKind::Wit).map(|key| key.id.clone()).collect::<Vec<_>>();
                    assert!(made(&server.state.authorities).iter().all(|id| made(&before).contains(id)), "none is made");
                }
                Some(_) if since_on > 6 => assert!(matches!(decided.wit_signing, Signing::With(_)), "it signs soon after it is turned on"),
                Some(_) => {}
            }
            let mut ids: Vec<_> = server.state.authorities.iter().map(|authority| &authority.id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), server.state.authorities.len());
        }
    }
}
