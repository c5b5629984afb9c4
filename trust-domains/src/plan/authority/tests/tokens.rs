//! The keys that sign tokens: published and acknowledged before they sign.

use super::*;
use crate::plan::authority::{TokenPolicy, TokenPolicyRefused};

const HINT: Duration = Duration::from_secs(300);

/// The defaults with relying parties: keys of seven days, tokens of up to one. Prepared at 108 h left, active at 78 h left.
fn token_policy() -> AuthorityPolicy {
    policy().with_jwt(TokenPolicy::new(days(7), days(1), days(1), Some(HINT)).unwrap())
}

fn missing(count: u8) -> Missing {
    let mut missing = Missing::default();
    (0..count).for_each(|number| missing.push(&format!("web-{number}").parse().unwrap()));
    missing
}

fn published(mut key: AuthorityState, ago: Duration, missing: Missing) -> AuthorityState {
    key.publication = Some(Publication {
        at: START - ago,
        missing_connected: missing.clone(),
        missing,
        refreshes: Duration::ZERO,
    });
    key
}

fn unpublished(mut key: AuthorityState) -> AuthorityState {
    key.publication = None;
    key
}

fn decide_tokens(keys: Vec<AuthorityState>, last_stored: Timestamp) -> AuthorityPlan {
    let mut authorities = vec![good_root(), ends(201, Phase::Active, days(7))];
    authorities.extend(keys);
    let clock = ClockEvidence {
        accepted: None,
        last_stored: Some(last_stored),
    };
    plan(at(START), &AuthoritiesState::new(authorities, clock), &token_policy())
}

fn make(reason: PrepareReason) -> AuthorityAction {
    AuthorityAction::PrepareToken {
        kind: AuthorityKind::Jwt,
        algorithm: TokenAlgorithm::Es256,
        not_after: START + days(7),
        reason,
    }
}

fn publish(number: u8) -> AuthorityAction {
    AuthorityAction::Publish {
        id: id(number),
        refreshes: HINT * 5,
    }
}

fn activate_without(number: u8, reason: PrepareReason, left_behind: Missing, retires: &[u8]) -> AuthorityAction {
    AuthorityAction::Activate {
        id: id(number),
        reason,
        left_behind,
        retires: retires.iter().copied().map(id).collect(),
    }
}

#[test]
fn each_state_of_a_token_key_leads_to_its_next_step() {
    use Phase::{Active, Old, Prepared};
    let soon = |left| PrepareReason::EndsSoon { not_after: START + left };
    let none = PrepareReason::NoneActive;
    let (minutes, signs) = (|count: u64| Duration::from_secs(count * 60), |number| Signing::With(id(number)));
    let next = || jwt(3, Prepared, hours(150));
    let table: Vec<(&str, Vec<AuthorityState>, Vec<AuthorityAction>, Signing)> = vec![
        ("fresh", vec![jwt(2, Active, days(7))], vec![], signs(2)),
        ("none yet", vec![], vec![make(none)], Signing::Stopped),
        ("108 h left", vec![jwt(2, Active, hours(108))], vec![make(soon(hours(108)))], signs(2)),
        (
            "prepared, not published",
            vec![jwt(2, Active, hours(108)), unpublished(next())],
            vec![publish(3)],
            signs(2),
        ),
        ("not its time yet", vec![jwt(2, Active, hours(79)), next()], vec![], signs(2)),
        (
            "its time, everybody knows it",
            vec![jwt(2, Active, hours(78)), next()],
            vec![hand_over(3, soon(hours(78)), &[2])],
            signs(2),
        ),
        (
            "its time, a node is missing",
            vec![jwt(2, Active, hours(78)), published(next(), hours(23), missing(1))],
            vec![],
            signs(2),
        ),
        (
            "the deadline passed",
            vec![jwt(2, Active, hours(78)), published(next(), hours(24), missing(1))],
            vec![activate_without(3, soon(hours(78)), missing(1), &[2])],
            signs(2),
        ),
        (
            "relying parties had four refreshes",
            vec![jwt(2, Active, hours(78)), published(next(), minutes(24), missing(0))],
            vec![],
            signs(2),
        ),
        (
            "relying parties had five",
            vec![jwt(2, Active, hours(78)), published(next(), minutes(25), missing(0))],
            vec![hand_over(3, soon(hours(78)), &[2])],
            signs(2),
        ),
        (
            "none signs: relying parties are not waited for",
            vec![published(next(), minutes(0), missing(0))],
            vec![activate(3, none)],
            Signing::Stopped,
        ),
        (
            "none signs: nodes are",
            vec![published(next(), minutes(0), missing(2))],
            vec![],
            Signing::Stopped,
        ),
        ("none signs, not published", vec![unpublished(next())], vec![publish(3)], Signing::Stopped),
        (
            "a crash after activation",
            vec![jwt(2, Active, hours(78)), jwt(3, Active, hours(150))],
            vec![retire(2, 3)],
            signs(3),
        ),
        (
            "two were made in a crash",
            vec![jwt(2, Active, days(7)), unpublished(jwt(3, Prepared, days(7)))],
            vec![forget(3, ForgetReason::NotNeeded)],
            signs(2),
        ),
        ("ended", vec![jwt(2, Active, days(7)), jwt(3, Old, Duration::ZERO)], vec![], signs(2)),
    ];
    for (what, keys, actions, signing) in table {
        let decided = decide_tokens(keys, START);
        assert_eq!((decided.actions, decided.jwt_signing), (actions, signing), "{what}");
        assert_eq!(decided.signing, signs(201), "{what}: issuing CAs go on");
    }
}

#[test]
fn an_old_key_is_forgotten_when_its_last_token_has_ended() {
    let mut old = jwt(3, Phase::Old, Duration::ZERO);
    old.not_after = START - Duration::from_secs(61);
    let decided = decide_tokens(vec![jwt(2, Phase::Active, days(7)), old.clone()], START);
    let reason = ForgetReason::Ended { not_after: old.not_after };
    assert_eq!(decided.actions, [forget(3, reason)]);
    let jumped = decide_tokens(vec![jwt(2, Phase::Active, days(7)), old], START - days(3));
    assert_eq!(jumped.actions, [], "a clock that jumped destroys nothing");
}

#[test]
fn a_clock_that_jumped_ends_no_wait() {
    let keys = || {
        vec![
            jwt(2, Phase::Active, hours(78)),
            published(jwt(3, Phase::Prepared, hours(150)), days(2), missing(1)),
        ]
    };
    assert_eq!(decide_tokens(keys(), START - days(3)).actions, []);
    let first = published(jwt(3, Phase::Prepared, hours(150)), days(2), missing(1));
    assert_eq!(decide_tokens(vec![first], START - days(3)).jwt_signing, Signing::Stopped);
    assert_eq!(decide_tokens(keys(), START).actions.len(), 1, "the same by a clock that is believed");
}

#[test]
fn who_is_missing_is_named_as_long_as_a_due_key_waits() {
    let decided = decide_tokens(vec![published(jwt(3, Phase::Prepared, hours(150)), hours(1), missing(12))], START);
    let words: Vec<_> = decided.problems.iter().map(AuthorityProblem::word).collect();
    assert_eq!(words, ["key_unacknowledged", "no_token_key"]);
    let text = decided.problems[0].to_string();
    assert!(text.contains("12 nodes (web-0, web-1,") && text.contains(", ...)"), "{text}");
    assert!(!text.contains("web-10"), "{text}");
    assert!(text.contains(&(START + hours(23)).to_string()), "{text}");
}

#[test]
fn a_token_policy_leaves_time_for_everybody_to_hear_of_a_key() {
    let seconds = Duration::from_secs;
    assert!(TokenPolicy::new(days(7), days(1), days(1), Some(HINT)).is_ok(), "the defaults");
    assert_eq!(TokenPolicy::default(), TokenPolicy::new(days(7), days(1), days(1), None).unwrap());
    let refused = TokenPolicy::new(days(6) - seconds(1), days(1), days(1), None).unwrap_err();
    assert_eq!(
        refused,
        TokenPolicyRefused {
            key_life: days(6) - seconds(1),
            longest_life: days(1),
            wait: days(1),
            least: days(6)
        }
    );
    assert_eq!(
        TokenPolicy::new(seconds(0), seconds(180), seconds(30), None).unwrap_err().least,
        seconds(2 * 180 + 4 * 30)
    );
    assert_eq!(
        TokenPolicy::new(seconds(0), seconds(180), seconds(30), Some(HINT)).unwrap_err().wait,
        HINT * 5,
        "five refreshes are waited for"
    );
    assert!(
        TokenPolicy::new(Duration::MAX, Duration::MAX, Duration::MAX, Some(Duration::MAX)).is_ok(),
        "no overflow"
    );
}

/// Keys of ten minutes for tokens of three: the margin is 6 min, the lead 1 min.
fn quick_policy() -> AuthorityPolicy {
    let seconds = Duration::from_secs;
    policy().with_jwt(TokenPolicy::new(seconds(600), seconds(180), seconds(45), Some(seconds(5))).unwrap())
}

/// What the nodes do in a tick.
#[derive(Debug, Clone, Copy)]
enum Nodes {
    /// They acknowledge everything that is published.
    Acknowledge,
    /// One joins: whatever is published next, it does not know at once.
    Lag,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each tick the loop runs, or crashes after some actions; nodes acknowledge or not.
    #[test]
    fn a_key_signs_only_what_is_known_or_past_its_deadline_and_somebody_always_signs(
        ticks in proptest::collection::vec((proptest::option::of(0_usize..5), any::<bool>()), 1..20),
    ) {
        // It does not crash for ever: the last of the cycle goes through.
        let through = (None, true);

        let policy = quick_policy();
        let mut server = Server::new(policy, days(365));
        server.state.authorities.retain(|authority| authority.kind != AuthorityKind::Jwt);
        server.perform(usize::MAX);
        let mut signed_before = false;
        for (crash, acknowledges) in ticks.iter().chain([&through]).cycle().take(500) {
            let nodes = if *acknowledges { Nodes::Acknowledge } else { Nodes::Lag };
            let all_know = matches!(nodes, Nodes::Acknowledge);
            server.nodes = if all_know { Missing::default() } else { missing(1) };
            if all_know {
                server.state.authorities.iter_mut().filter_map(|key| key.publication.as_mut()).for_each(|publication| publication.missing = Missing::default());
            }
            server.pass(Duration::from_secs(5), 0);
            match crash {
                Some(steps) => server.perform(*steps),
                None => server.perform(usize::MAX),
            }
            server.store_time();
            let now = server.now.wall;
            for key in server.state.authorities.iter().filter(|key| key.kind == AuthorityKind::Jwt && matches!(key.phase, Phase::Active | Phase::Old)) {
                let publication = key.publication.as_ref().expect("a key that signs was published");
                assert!(publication.missing.is_empty() || publication.at + Duration::from_secs(45) <= now, "{key:?} at {now}");
            }
            assert!(server.count_of(AuthorityKind::Jwt, Phase::Active) <= 2, "one signs, and one is about to retire");
            let decided = server.plan();
            if let Signing::With(signer) = &decided.jwt_signing {
                signed_before = true;
                assert!(server.find(signer).clone().is_valid_at(now));
            } else {
                assert!(!signed_before, "never without one that signs once there was one");
            }
            assert!(server.count_of(AuthorityKind::Jwt, Phase::Prepared) <= 1);
        }
    }
}

/// The defaults without relying parties, and RS256 configured.
fn decide_rs256(keys: Vec<AuthorityState>) -> AuthorityPlan {
    let mut authorities = vec![good_root(), ends(201, Phase::Active, days(7))];
    authorities.extend(keys);
    let clock = ClockEvidence {
        accepted: None,
        last_stored: Some(START),
    };
    let jwt = TokenPolicy::default().with_algorithm(Some(TokenAlgorithm::Rs256));
    plan(at(START), &AuthoritiesState::new(authorities, clock), &policy().with_jwt(jwt))
}

fn rs256(key: AuthorityState) -> AuthorityState {
    AuthorityState {
        algorithm: Some(TokenAlgorithm::Rs256),
        ..key
    }
}

#[test]
fn another_algorithm_is_taken_up_as_soon_as_its_key_is_known() {
    let active = jwt(10, Phase::Active, days(7));
    let reason = PrepareReason::OtherAlgorithm {
        active: TokenAlgorithm::Es256,
        wanted: TokenAlgorithm::Rs256,
    };

    let first = decide_rs256(vec![active.clone()]);
    let prepare = AuthorityAction::PrepareToken {
        kind: AuthorityKind::Jwt,
        algorithm: TokenAlgorithm::Rs256,
        not_after: START + days(7),
        reason,
    };
    assert_eq!((first.actions, first.jwt_signing), (vec![prepare], Signing::With(id(10))));

    // It waits for the nodes as every key does, and the key of before signs meanwhile.
    let waiting = rs256(published(jwt(11, Phase::Prepared, days(7)), days(1) / 2, missing(1)));
    let second = decide_rs256(vec![active.clone(), waiting]);
    assert_eq!((second.actions, second.jwt_signing), (vec![], Signing::With(id(10))));

    let known = rs256(jwt(11, Phase::Prepared, days(7)));
    let third = decide_rs256(vec![active.clone(), known.clone()]);
    let retire = AuthorityAction::Retire {
        id: id(10),
        replaced_by: id(11),
    };
    assert_eq!(third.actions, [activate_without(11, reason, Missing::default(), &[10])]);

    // Both are active, as an earlier version left them in a crash: the one of the configured algorithm signs, though it ends first.
    let fourth = decide_rs256(vec![active, rs256(jwt(11, Phase::Active, days(6)))]);
    assert_eq!((fourth.actions, fourth.jwt_signing), (vec![retire], Signing::With(id(11))));
}

#[test]
fn a_prepared_key_of_an_algorithm_that_is_not_wanted_any_more_is_forgotten() {
    let decided = decide_rs256(vec![rs256(jwt(10, Phase::Active, days(7))), jwt(11, Phase::Prepared, days(30))]);
    let forget = AuthorityAction::Forget {
        id: id(11),
        reason: ForgetReason::NotNeeded,
    };
    assert_eq!(decided.actions, [forget]);
}

#[test]
fn without_a_configured_algorithm_a_new_key_signs_as_the_one_before() {
    let mut authorities = vec![good_root(), ends(201, Phase::Active, days(7)), rs256(jwt(10, Phase::Active, hours(108)))];
    let clock = ClockEvidence {
        accepted: None,
        last_stored: Some(START),
    };
    let decided = plan(at(START), &AuthoritiesState::new(authorities.clone(), clock), &policy());
    let algorithms = |decided: &AuthorityPlan| {
        let made = decided.actions.iter().map(|action| match action {
            AuthorityAction::PrepareToken { algorithm, .. } => *algorithm,
            other => panic!("{other:?}"),
        });
        made.collect::<Vec<_>>()
    };
    assert_eq!(algorithms(&decided), [TokenAlgorithm::Rs256]);
    authorities.pop();
    let decided = plan(at(START), &AuthoritiesState::new(authorities, clock), &policy());
    assert_eq!(algorithms(&decided), [TokenAlgorithm::Es256], "the first of all");
}

#[test]
fn relying_parties_that_were_there_when_a_key_was_published_are_waited_for() {
    let active = jwt(10, Phase::Active, hours(70));
    let told = |ago| {
        let mut key = published(jwt(11, Phase::Prepared, days(7)), ago, Missing::default());
        key.publication.as_mut().unwrap().refreshes = HINT * 5;
        key
    };
    let decided = |key| {
        let authorities = vec![good_root(), ends(201, Phase::Active, days(7)), active.clone(), key];
        let clock = ClockEvidence {
            accepted: None,
            last_stored: Some(START),
        };
        // Nobody fetches any more, says the configuration of now.
        plan(at(START), &AuthoritiesState::new(authorities, clock), &policy())
    };
    assert_eq!(decided(told(HINT * 4)).actions, [], "they may still hold the keys of before");
    let reason = PrepareReason::EndsSoon { not_after: START + hours(70) };
    assert!(
        decided(told(HINT * 5))
            .actions
            .contains(&activate_without(11, reason, Missing::default(), &[10]))
    );
}
