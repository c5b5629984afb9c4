use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn id(number: u8) -> AuthorityId {
    AuthorityId::from_key_id(&[number; 20]).unwrap()
}

fn root(number: u8, phase: Phase) -> RootState {
    RootState { id: id(number), phase }
}

fn cross(root: u8, upstream: u8, days_left: u64) -> CrossState {
    CrossState {
        id: CrossId::of(&id(root), &id(upstream)),
        root: id(root),
        upstream: id(upstream),
        chain: [upstream; 32],
        used: CrossUse::default(),
        not_before: NOW - DAY,
        not_after: NOW + DAY * u32::try_from(days_left).unwrap(),
    }
}

fn files(upstream: u8) -> FilesState {
    FilesState {
        upstream: id(upstream),
        chain: [upstream; 32],
        used: AskedUse::default(),
    }
}

fn state(roots: Vec<RootState>, crosses: Vec<CrossState>, files: Option<FilesState>) -> UpstreamState {
    UpstreamState {
        crosses,
        roots,
        files,
        may_destroy: true,
    }
}

fn certified(plan: &UpstreamPlan) -> Vec<(AuthorityId, CertifyReason)> {
    let certified = plan.actions.iter().filter_map(|action| match action {
        UpstreamAction::Certify { root, reason, .. } => Some((root.clone(), *reason)),
        UpstreamAction::Forget { .. } => None,
    });
    certified.collect()
}

#[test]
fn roots_that_sign_or_will_are_certified_and_those_on_the_way_out_are_not() {
    let roots = [Phase::Prepared, Phase::Active, Phase::Old, Phase::Tainted, Phase::Revoked];
    let roots = roots.into_iter().zip(1..).map(|(phase, number)| root(number, phase)).collect();
    let plan = plan(NOW, &state(roots, Vec::new(), Some(files(9))));
    assert_eq!(certified(&plan), [(id(1), CertifyReason::NoneYet), (id(2), CertifyReason::NoneYet)]);
    assert_eq!(plan.problems, []);
}

#[test]
fn new_certificates_of_the_upstream_authority_make_a_new_cross_certificate() {
    let changed = FilesState { chain: [7; 32], ..files(9) };
    let plan = plan(NOW, &state(vec![root(1, Phase::Active)], vec![cross(1, 9, 100)], Some(changed)));
    assert_eq!(certified(&plan), [(id(1), CertifyReason::ChainChanged)]);
}

#[test]
fn what_a_cross_certificate_was_used_for_outlives_the_root_that_it_certified() {
    let used = CrossUse {
        is_sent: true,
        is_dedicated: true,
    };
    let revoked = CrossState { used, ..cross(1, 9, 100) };
    let plan = plan(
        NOW,
        &state(vec![root(1, Phase::Revoked), root(2, Phase::Active)], vec![revoked], Some(files(9))),
    );
    let certify = UpstreamAction::Certify {
        root: id(2),
        used,
        reason: CertifyReason::NoneYet,
    };
    assert_eq!(plan.actions, [certify], "it goes when its successor is there");
}

#[test]
fn an_offline_authority_that_certified_a_revoked_root_is_asked_for_the_next_one() {
    let revoked = vec![root(1, Phase::Revoked), root(2, Phase::Active)];
    let plan = plan(NOW, &state(revoked, vec![cross(1, 9, 100)], None));
    assert_eq!(plan.actions, []);
    let (root, upstream) = (id(2), id(9));
    assert_eq!(plan.problems, [UpstreamProblem::RootWithout { root, upstream }]);
}


#[test]
fn what_the_configuration_leaves_open_stays_as_it_is_recorded() {
    let used = CrossUse {
        is_sent: true,
        is_dedicated: true,
    };
    let recorded = CrossState { used, ..cross(1, 9, 100) };
    let roots = vec![root(1, Phase::Active), root(2, Phase::Prepared)];
    let open = plan(NOW, &state(roots.clone(), vec![recorded.clone()], Some(files(9))));
    let expected = UpstreamAction::Certify {
        root: id(2),
        used,
        reason: CertifyReason::NoneYet,
    };
    assert_eq!(open.actions, [expected], "the next root's is used as the one before");
    let asked = AskedUse {
        is_dedicated: Some(false),
        is_sent: None,
    };
    let told = FilesState { used: asked, ..files(9) };
    let plan = plan(NOW, &state(vec![root(1, Phase::Active)], vec![recorded], Some(told)));
    let expected = UpstreamAction::Certify {
        root: id(1),
        used: CrossUse {
            is_sent: true,
            is_dedicated: false,
        },
        reason: CertifyReason::UseChanged,
    };
    assert_eq!(plan.actions, [expected]);
}

#[test]
fn what_ended_or_whose_root_is_gone_or_revoked_is_forgotten_and_a_wild_clock_forgets_no_ended_one() {
    let roots = vec![root(1, Phase::Active), root(2, Phase::Revoked)];
    let ended = CrossState {
        not_after: NOW - DAY,
        ..cross(1, 9, 0)
    };
    let crosses = vec![ended.clone(), cross(2, 9, 100), cross(3, 9, 100), cross(1, 8, 100)];
    let mut state = state(roots, crosses, None);
    let forgotten = |state: &UpstreamState| plan(NOW, state).actions;
    let gone = |root| UpstreamAction::Forget {
        id: CrossId::of(&id(root), &id(9)),
        reason: ForgetCross::RootGone,
    };
    let reason = ForgetCross::Ended { not_after: ended.not_after };
    assert_eq!(forgotten(&state), [UpstreamAction::Forget { id: ended.id, reason }, gone(2), gone(3)]);
    state.may_destroy = false;
    assert_eq!(forgotten(&state), [gone(2), gone(3)]);
}

#[test]
fn an_operator_hears_of_an_end_and_of_a_root_that_lacks_what_another_has() {
    let roots = vec![root(1, Phase::Old), root(2, Phase::Active)];
    let crosses = vec![cross(1, 9, 5), cross(2, 8, 13), cross(2, 7, 15)];
    let told = plan(NOW, &state(roots.clone(), crosses.clone(), None)).problems;
    let expected = [
        UpstreamProblem::EndsSoon {
            id: CrossId::of(&id(2), &id(8)),
            not_after: NOW + DAY * 13,
        },
        UpstreamProblem::RootWithout { root: id(2), upstream: id(9) },
    ];
    assert_eq!(told, expected);
    assert!(told[1].to_string().contains("troth authority csr"), "{}", told[1]);
    let with_files = plan(NOW, &state(roots, crosses, Some(files(9)))).problems;
    assert_eq!(with_files.len(), 1, "the files will certify it: {with_files:?}");
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![Phase::Prepared, Phase::Active, Phase::Old, Phase::Tainted, Phase::Revoked])
}

proptest! {
    #[test]
    fn what_was_performed_leaves_nothing_to_do(
        phases in prop::collection::vec(any_phase(), 0..4),
        crosses in prop::collection::vec((0u8..4, 7u8..10, 0u64..30), 0..5),
        upstream in prop::option::of(7u8..10),
    ) {
        let roots: Vec<_> = phases.into_iter().zip(0..).map(|(phase, number)| root(number, phase)).collect();
        let mut known: Vec<CrossState> = Vec::new();
        for (root, upstream, left) in crosses {
            let new = cross(root, upstream, left);
            known.retain(|cross| cross.id != new.id);
            known.push(new);
        }
        let mut state = state(roots, known, upstream.map(files));
        // A cross-certificate that was waited for lets another one go: in the second round.
        for _ in 0..2 {
            for action in plan(NOW, &state).actions {
                match action {
                    UpstreamAction::Forget { id, .. } => state.crosses.retain(|cross| cross.id != id),
                    UpstreamAction::Certify { root, used, .. } => {
                        let files = state.files.clone().unwrap();
                        let new = CrossState { root: root.clone(), used, id: CrossId::of(&root, &files.upstream), ..cross(0, upstream.unwrap(), 100) };
                        state.crosses.retain(|cross| cross.id != new.id);
                        state.crosses.push(new);
                    }
                }
            }
        }
        prop_assert_eq!(plan(NOW, &state).actions, vec![]);
        let revoked = |cross: &CrossState| state.roots.iter().any(|root| root.id == cross.root && root.phase == Phase::Revoked);
        let active = || state.roots.iter().filter(|root| root.phase == Phase::Active);
        let is_followed = |cross: &CrossState| active().all(|root| state.crosses.iter().any(|other| other.root == root.id && other.upstream == cross.upstream));
        prop_assert!(!state.crosses.iter().any(|cross| revoked(cross) && is_followed(cross)));
    }

    #[test]
    fn an_id_is_read_back_and_names_its_pair(one in 0u8..50, other in 0u8..50) {
        let made = CrossId::of(&id(one), &id(other));
        prop_assert_eq!(made.as_str().parse::<CrossId>(), Ok(made.clone()));
        prop_assert_eq!(CrossId::of(&id(other), &id(one)) == made, one == other);
    }
}
