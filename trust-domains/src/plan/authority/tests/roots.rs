//! Roots: ahead of time, known before they sign, and gone when nothing under them is valid.

use super::*;
use crate::plan::authority::{RootPolicy, RootPolicyRefused};

/// The defaults, with partners: the margin is 14 days, the lead 30: prepared at 74 days left, active at 44.
fn root_policy() -> AuthorityPolicy {
    policy().with_root(RootPolicy::new(days(365), days(7), days(1), Some(Duration::from_secs(300))).unwrap())
}

fn decide_roots(roots: Vec<AuthorityState>, last_stored: Timestamp) -> AuthorityPlan {
    let mut authorities = vec![good_jwt(), ends(201, Phase::Active, days(7))];
    authorities.extend(roots);
    let clock = ClockEvidence {
        accepted: None,
        last_stored: Some(last_stored),
    };
    plan(at(START), &AuthoritiesState::new(authorities, clock), &root_policy())
}

fn missing(count: usize) -> Missing {
    let mut missing = Missing::default();
    (0..count).for_each(|number| missing.push(&format!("web-{number}").parse().unwrap()));
    missing
}

fn known(mut root: AuthorityState, ago: Duration, missing: Missing) -> AuthorityState {
    root.publication = Some(Publication {
        at: START - ago,
        missing_connected: missing.clone(),
        missing,
        refreshes: Duration::ZERO,
    });
    root
}

fn behind(partners: &[&str]) -> Missing {
    let partners = partners.iter().map(|name| name.parse().unwrap()).collect();
    Missing::default().with_partners(partners)
}

#[test]
fn a_partner_that_shows_that_it_is_behind_is_waited_for_as_long_as_nodes_are_and_named() {
    let handed_over = |ago| {
        let roots = vec![
            root(1, Phase::Active, START + days(44)),
            known(root(3, Phase::Prepared, START + days(360)), ago, behind(&["slow.test"])),
        ];
        decide_roots(roots, START)
    };
    // The five refresh hints are over, and it has had them.
    let waiting = handed_over(hours(23));
    assert_eq!(waiting.actions, []);
    assert!(
        waiting
            .problems
            .iter()
            .any(|problem| problem.to_string().contains("1 partner (slow.test) did not acknowledge it"))
    );
    let decided = handed_over(hours(24));
    assert!(
        matches!(&decided.actions[..], [AuthorityAction::Activate { left_behind, .. }] if *left_behind == behind(&["slow.test"])),
        "{:?}",
        decided.actions
    );
}

#[test]
fn nobody_waits_for_a_partner_while_no_root_signs() {
    let roots = vec![known(root(3, Phase::Prepared, START + days(360)), hours(1), behind(&["slow.test"]))];
    let decided = decide_roots(roots, START);
    assert!(
        matches!(decided.actions.first(), Some(AuthorityAction::Activate { .. })),
        "{:?}",
        decided.actions
    );
}

#[test]
fn each_state_of_the_roots_leads_to_its_next_step() {
    use Phase::{Active, Old, Prepared};
    let ends_in = |left| root(1, Active, START + left);
    let soon = |left| PrepareReason::EndsSoon { not_after: START + left };
    let make = |reason| AuthorityAction::PrepareRoot {
        not_after: START + days(365),
        reason,
    };
    let next = || root(3, Prepared, START + days(360));
    let second = Duration::from_secs(1);
    let publish = AuthorityAction::Publish {
        id: id(3),
        refreshes: Duration::from_secs(1_500),
    };
    let left_behind = AuthorityAction::Activate {
        id: id(3),
        reason: soon(days(44)),
        left_behind: missing(2),
        retires: vec![id(1)],
    };
    let under_next = AuthorityState {
        issuer: Some(id(3)),
        ..ends(202, Active, days(7))
    };
    let table: Vec<(&str, Vec<AuthorityState>, Vec<AuthorityAction>)> = vec![
        ("fresh", vec![ends_in(days(365))], vec![]),
        ("74 days left", vec![ends_in(days(74))], vec![make(soon(days(74)))]),
        ("a second more", vec![ends_in(days(74) + second)], vec![]),
        ("prepared, not published", vec![ends_in(days(74)), next()], vec![publish]),
        ("not its time yet", vec![ends_in(days(45)), known(next(), days(20), missing(0))], vec![]),
        (
            "its time, everybody knows it",
            vec![ends_in(days(44)), known(next(), days(20), missing(0))],
            vec![hand_over(3, soon(days(44)), &[1])],
        ),
        (
            "its time, a node is away",
            vec![ends_in(days(44)), known(next(), hours(23), missing(1))],
            vec![],
        ),
        (
            "its time, partners had a refresh",
            vec![ends_in(days(44)), known(next(), second * 300, missing(0))],
            vec![],
        ),
        (
            "the deadline passed",
            vec![ends_in(days(44)), known(next(), hours(24), missing(2))],
            vec![left_behind],
        ),
        (
            "active, and nothing is under it yet",
            vec![root(1, Old, START + days(44)), root(3, Active, START + days(360))],
            vec![AuthorityAction::PrepareIssuing {
                root: id(3),
                not_after: START + days(7),
                reason: PrepareReason::NoneActive,
            }],
        ),
        (
            "an issuing CA under the old one is not ended",
            vec![root(1, Old, START + days(44)), root(3, Active, START + days(360)), under_next.clone()],
            vec![retire(201, 202)],
        ),
    ];
    for (what, roots, actions) in table {
        let decided = decide_roots(roots, START);
        assert_eq!(decided.actions, actions, "{what}");
        assert_eq!(
            decided.signing,
            Signing::With(if what.contains("not ended") { id(202) } else { id(201) }),
            "{what}"
        );
    }
}

#[test]
fn an_old_root_goes_when_the_last_issuing_ca_under_it_has_gone() {
    let roots = |old_issuing: Vec<AuthorityState>| {
        let mut authorities = vec![good_jwt(), root(1, Phase::Old, START + days(200)), root(3, Phase::Active, START + days(360))];
        authorities.push(AuthorityState {
            issuer: Some(id(3)),
            ..ends(202, Phase::Active, days(7))
        });
        authorities.extend(old_issuing);
        let clock = ClockEvidence {
            accepted: None,
            last_stored: Some(START),
        };
        plan(at(START), &AuthoritiesState::new(authorities, clock), &root_policy()).actions
    };
    assert_eq!(roots(vec![ends(2, Phase::Old, Duration::ZERO)]), [], "by the skew");
    let ended = issuing(2, Phase::Old, START - days(1));
    let reason = ForgetReason::Ended { not_after: ended.not_after };
    assert_eq!(roots(vec![ended]), [forget(2, reason)]);
    assert_eq!(roots(vec![]), [forget(1, ForgetReason::NothingUnder)]);
}

#[test]
fn a_clock_that_jumped_makes_no_root_and_ends_no_wait() {
    let jumped = START - days(3);
    assert_eq!(decide_roots(vec![root(1, Phase::Active, START + days(20))], jumped).actions, []);
    assert_eq!(
        decide_roots(vec![root(1, Phase::Active, START - days(1))], jumped).actions,
        [],
        "even if none is valid by it"
    );
    let roots = || {
        vec![
            root(1, Phase::Active, START + days(20)),
            known(root(3, Phase::Prepared, START + days(360)), days(5), missing(1)),
        ]
    };
    assert_eq!(decide_roots(roots(), jumped).actions, []);
    assert_eq!(decide_roots(roots(), START).actions.len(), 1, "the same by a clock that is believed");
}

#[test]
fn a_server_that_was_off_for_longer_than_its_root_lived_makes_a_new_one() {
    let ended = root(1, Phase::Active, START - days(1));
    let decided = decide_roots(vec![ended], START);
    let make = AuthorityAction::PrepareRoot {
        not_after: START + days(365),
        reason: PrepareReason::NoneActive,
    };
    assert_eq!((decided.actions, decided.signing), (vec![make], Signing::Stopped));
    assert!(decided.problems.contains(&AuthorityProblem::NoRoot));
}

#[test]
fn where_crls_are_in_use_an_issuing_ca_signs_when_the_nodes_have_its_own() {
    let active = ends(2, Phase::Active, hours(78));
    let decided = |prepared: AuthorityState, active: &AuthorityState| {
        let authorities = vec![good_root(), good_jwt(), active.clone(), prepared];
        let clock = ClockEvidence {
            accepted: None,
            last_stored: Some(START),
        };
        let state = AuthoritiesState {
            crls_in_use: true,
            ..AuthoritiesState::new(authorities, clock)
        };
        plan(at(START), &state, &policy()).actions
    };
    let reason = PrepareReason::EndsSoon { not_after: START + hours(78) };
    let next = || ends(3, Phase::Prepared, hours(150));
    let publish = AuthorityAction::Publish {
        id: id(3),
        refreshes: Duration::ZERO,
    };
    assert_eq!(decided(next(), &active), [publish]);
    assert_eq!(decided(known(next(), hours(1), missing(1)), &active), []);
    assert_eq!(decided(known(next(), hours(1), missing(0)), &active), [hand_over(3, reason, &[2])]);
    let late = ends(2, Phase::Active, hours(47));
    let reason = PrepareReason::EndsSoon { not_after: START + hours(47) };
    assert!(
        decided(known(next(), hours(1), missing(1)), &late)
            .iter()
            .any(|action| matches!(action, AuthorityAction::Activate { reason: why, .. } if *why == reason)),
        "a peer or two that refuse are better than none that is served"
    );
}

#[test]
fn a_root_policy_leaves_time_for_everybody_to_hear_of_a_root() {
    let seconds = Duration::from_secs;
    assert!(RootPolicy::new(days(365), days(7), days(1), Some(seconds(300))).is_ok(), "the defaults");
    let refused = RootPolicy::new(days(18) - seconds(1), days(7), days(1), None).unwrap_err();
    assert_eq!(
        refused,
        RootPolicyRefused {
            root_life: days(18) - seconds(1),
            issuing_life: days(7),
            wait: days(1),
            least: days(18)
        }
    );
    assert!(
        RootPolicy::new(Duration::MAX, Duration::MAX, Duration::MAX, Some(Duration::MAX)).is_ok(),
        "no overflow"
    );
    let slow = RootPolicy::new(days(365), days(7), days(60), None).unwrap();
    assert_eq!(slow.life().handover_lead(), days(60), "the lead is never shorter than the wait");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Roots of twenty minutes, issuing CAs of three: years of operation in little. Each tick the loop runs, or crashes after some actions; nodes
    /// acknowledge or not.
    #[test]
    fn through_many_roots_somebody_always_signs_and_no_root_goes_while_it_vouches_for_anything(
        ticks in proptest::collection::vec((proptest::option::of(0_usize..5), any::<bool>()), 1..20),
    ) {
        let seconds = Duration::from_secs;
        let through = (None, true);
        let short = AuthorityPolicy::new(seconds(180), seconds(30)).unwrap().with_root(RootPolicy::new(seconds(1_200), seconds(180), seconds(45), Some(seconds(5))).unwrap());
        let mut server = Server::new(short, seconds(1_200));
        server.perform(usize::MAX);
        let mut active_roots = Vec::new();
        for (crash, acknowledges) in ticks.iter().chain([&through]).cycle().take(800) {
            server.nodes = if *acknowledges { Missing::default() } else { missing(1) };
            if *acknowledges {
                server.state.authorities.iter_mut().filter_map(|key| key.publication.as_mut()).for_each(|publication| {
                    publication.missing = Missing::default();
                    publication.missing_connected = Missing::default();
                });
            }
            let before = server.state.authorities.clone();
            server.pass(seconds(5), 0);
            server.perform(crash.unwrap_or(usize::MAX));
            server.store_time();
            let now = server.now.wall;
            let decided = server.plan();
            let Signing::With(signer) = &decided.signing else { panic!("nobody signs at {now}") };
            let signer = server.find(signer).clone();
            let root = server.find(&signer.issuer.clone().unwrap()).clone();
            assert!(matches!(root.phase, Phase::Active | Phase::Old) && signer.not_after <= root.not_after);
            assert!(Validity::plan(now, seconds(30), signer.not_after, None, SKEW).is_ok(), "never clipped");
            for known in server.state.authorities.iter().filter(|root| root.kind == AuthorityKind::X509Root && root.phase == Phase::Active && root.id != id(1)) {
                let publication = known.publication.as_ref().expect("a root that signs was published");
                assert!(publication.missing.is_empty() || publication.at + seconds(45) <= now, "{known:?} at {now}");
                assert!(publication.at + seconds(25) <= now, "partners had five refreshes");
                if !active_roots.contains(&known.id) {
                    active_roots.push(known.id.clone());
                }
            }
            for gone in before.iter().filter(|root| root.kind == AuthorityKind::X509Root && root.phase != Phase::Prepared) {
                let is_there = server.state.authorities.iter().any(|root| root.id == gone.id);
                let vouches = before.iter().any(|issuing| issuing.issuer.as_ref() == Some(&gone.id) && issuing.not_after >= now);
                assert!(is_there || !vouches, "{gone:?} vouches for an issuing CA that has not ended");
            }
            let roots = server.state.authorities.iter().filter(|root| root.kind == AuthorityKind::X509Root).count();
            assert!(roots <= 3, "{roots} roots in the bundle");
        }
        assert!(active_roots.len() >= 3, "{} successors in over an hour", active_roots.len());
    }

    /// A clock two years ahead for an hour, then back, at any point of a root's life.
    #[test]
    fn a_wild_clock_for_an_hour_destroys_nothing_and_changes_no_root(day in 0_u64..365, ahead in 2_u64..800) {
        let mut server = Server::new(policy(), days(365));
        server.perform(usize::MAX);
        for _ in 0..day {
            server.pass(days(1), 0);
            server.store_time();
            server.perform(usize::MAX);
            server.store_time();
        }
        let before = server.state.authorities.clone();
        server.pass(Duration::ZERO, i64::try_from(ahead * DAY).unwrap());
        for _ in 0..6 {
            server.perform(usize::MAX);
            server.pass(Duration::from_secs(600), 0);
        }
        server.pass(Duration::ZERO, -i64::try_from(ahead * DAY).unwrap());
        server.perform(usize::MAX);
        server.store_time();
        let after = &server.state.authorities;
        let of = |authorities: &[AuthorityState], kind| authorities.iter().filter(|one| one.kind == kind).map(|one| (one.id.clone(), one.phase)).collect::<Vec<_>>();
        // An old root may go in that hour because its time has come: nothing under it can be valid any more.
        let is_over = |root: &AuthorityState| {
            let vouches = |issuing: &AuthorityState| issuing.issuer.as_ref() == Some(&root.id) && issuing.not_after >= server.now.wall;
            root.phase == Phase::Old && !before.iter().any(vouches)
        };
        let there: Vec<_> = after.iter().map(|one| &one.id).collect();
        let expected: Vec<_> = before.iter().filter(|one| there.contains(&&one.id) || !is_over(one)).cloned().collect();
        assert_eq!(of(&expected, AuthorityKind::X509Root), of(after, AuthorityKind::X509Root));
        for held in expected.iter().filter(|held| held.not_after > server.now.wall && held.phase != Phase::Prepared) {
            assert!(after.iter().any(|other| other.id == held.id), "{held:?} is gone");
        }
        assert!(after.len() <= before.len() + 2, "an issuing CA and a JWT key were replaced, and what the wild clock made is gone");
        assert!(matches!(server.plan().signing, Signing::With(_)));
        assert!(matches!(server.plan().jwt_signing, Signing::With(_)));
    }
}
