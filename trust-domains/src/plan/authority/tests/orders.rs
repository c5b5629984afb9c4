//! What operators order: carried through any crash, each step before the next.

use super::*;
use crate::plan::authority::{Beside, Extent, Order, OrderRefused, steps};
use crate::wire::authorities::{StepKind, StepState};

fn order_id(number: u8) -> OrderId {
    OrderId::from_octets([number; 8])
}

fn missing(count: usize) -> Missing {
    let mut missing = Missing::default();
    (0..count).for_each(|number| missing.push(&format!("web-{number}").parse().unwrap()));
    missing
}

/// A server at rest, with an issuing CA and a JWT key.
fn at_rest() -> Server {
    let mut server = Server::new(policy(), days(300));
    server.perform(usize::MAX);
    server
}

impl Server {
    fn order(&mut self, kind: AuthorityKind, extent: Extent) -> Order {
        let number = u8::try_from(self.finished.len() + self.state.orders.len() + 1).unwrap();
        let order = Order::replacing(order_id(number), kind, extent, &self.state.authorities, self.now.wall).unwrap();
        self.state.orders.push(order.clone());
        order
    }

    fn signers(&self) -> [Signing; 2] {
        let decided = self.plan();
        [decided.signing, decided.jwt_signing]
    }

    fn phases(&self, ids: &[AuthorityId]) -> Vec<Option<Phase>> {
        let phase = |id: &AuthorityId| self.state.authorities.iter().find(|one| one.id == *id).map(|one| one.phase);
        ids.iter().map(phase).collect()
    }

    fn acknowledge(&mut self) {
        for publication in self.state.authorities.iter_mut().filter_map(|one| one.publication.as_mut()) {
            (publication.missing, publication.missing_connected) = (Missing::default(), Missing::default());
        }
    }

    fn steps(&self, order: &Order) -> Vec<(StepKind, StepState)> {
        let steps = steps(self.now.wall, order, &self.state, &self.policy);
        steps.into_iter().map(|step| (step.what, step.state)).collect()
    }
}

#[test]
fn a_planned_replacement_of_the_issuing_ca_changes_nothing_else() {
    let mut server = at_rest();
    let before = server.state.authorities.clone();
    let order = server.order(AuthorityKind::X509Issuing, Extent::Replace);
    server.perform(usize::MAX);
    assert_eq!(server.finished, [order.id]);
    assert_eq!(server.phases(&order.replaces), [Some(Phase::Old)]);
    let others = |authorities: &[AuthorityState]| {
        authorities
            .iter()
            .filter(|one| one.kind != AuthorityKind::X509Issuing)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(others(&before), others(&server.state.authorities));
    let [Signing::With(signer), _] = server.signers() else {
        panic!("somebody signs")
    };
    assert!(!order.replaces.contains(&signer));
}

#[test]
fn a_compromised_issuing_ca_takes_its_root_along_step_by_step() {
    use StepKind::{Acknowledge, Activate, Issuing, Prepare, Reissue, Revoked, Taint, Withdraw};
    use StepState::{Done, Pending, Running};
    let mut server = at_rest();
    server.nodes = missing(1);
    let order = server.order(AuthorityKind::X509Issuing, Extent::Withdraw);
    assert_eq!(order.replaces, [id(1)], "relying parties believe the root");
    assert_eq!(server.steps(&order)[..2], [(Prepare, Running), (Acknowledge, Pending)]);

    server.perform(usize::MAX);
    assert_eq!(server.steps(&order)[..3], [(Prepare, Done), (Acknowledge, Running), (Activate, Pending)]);
    let waiting = steps(server.now.wall, &order, &server.state, &server.policy);
    assert_eq!(waiting[1].waiting_for, ["web-0".parse().unwrap()]);
    assert_eq!(waiting[1].until, Some(server.now.wall + Duration::from_secs(30)));
    assert_eq!(
        server.phases(&order.replaces),
        [Some(Phase::Active)],
        "who is connected and missing is waited for"
    );

    server.acknowledge();
    server.perform(usize::MAX);
    let tail = |server: &Server| server.steps(&order).split_off(3);
    assert_eq!(
        tail(&server),
        [(Issuing, Done), (Taint, Done), (Reissue, Running), (Withdraw, Pending), (Revoked, Pending)]
    );
    let tainted = |server: &Server| server.state.authorities.iter().filter(|one| one.phase == Phase::Tainted).count();
    assert_eq!(tainted(&server), 2, "the root and its issuing CA");
    let [Signing::With(signer), _] = server.signers() else {
        panic!("somebody signs")
    };
    assert_ne!(server.find(&signer).issuer, Some(id(1)));

    server.acknowledge();
    server.perform(usize::MAX);
    assert_eq!(tail(&server)[2..], [(Reissue, Done), (Withdraw, Done), (Revoked, Running)]);
    assert_eq!(server.finished, [], "it is not reported before it is so");
    server.acknowledge();
    server.perform(usize::MAX);
    assert_eq!(server.finished, std::slice::from_ref(&order.id));
    assert_eq!(server.phases(&order.replaces), [Some(Phase::Revoked)]);
    assert_eq!(server.plan().problems, []);
}

#[test]
fn a_frozen_agent_holds_up_each_step_of_an_emergency_for_its_deadline_and_no_longer() {
    for kind in [AuthorityKind::X509Root, AuthorityKind::X509Issuing, AuthorityKind::Jwt] {
        let mut server = at_rest();
        server.nodes = missing(1);
        let order = server.order(kind, Extent::Withdraw);
        let mut waited = Duration::ZERO;
        while server.finished.is_empty() {
            server.perform(usize::MAX);
            server.pass(Duration::from_secs(1), 0);
            waited += Duration::from_secs(1);
            assert!(waited <= Duration::from_secs(3 * 30 + 3), "{kind}: {:?}", server.steps(&order));
        }
        assert!(
            waited >= Duration::from_secs(90),
            "{kind}: acknowledged, replaced and withdrawn are three waits"
        );
        assert_eq!(server.phases(&order.replaces), [Some(Phase::Revoked)], "{kind}");
    }
}

#[test]
fn an_emergency_goes_on_by_a_clock_that_jumped() {
    let mut server = at_rest();
    server.pass(Duration::ZERO, 3 * 86_400);
    assert!(matches!(server.plan().problems[..], [AuthorityProblem::ClockJumped { .. }]));
    let order = server.order(AuthorityKind::X509Root, Extent::Withdraw);
    server.perform(usize::MAX);
    assert_eq!(server.finished, [order.id]);
}

#[test]
fn a_prepared_root_of_the_same_place_is_not_the_successor_of_a_stolen_one() {
    let mut server = at_rest();
    let mut prepared = root(77, Phase::Prepared, START + days(365));
    prepared.asked = Asked::Kept;
    server.state.authorities.push(prepared);
    server.perform(usize::MAX);
    assert_eq!(server.phases(&[id(77)]), [Some(Phase::Prepared)], "an operator asked for it");
    let order = server.order(AuthorityKind::X509Root, Extent::Withdraw);
    assert_eq!(order.replaces, [id(1), id(77)]);
    server.perform(usize::MAX);
    assert_eq!(server.phases(&[id(1), id(77)]), [Some(Phase::Revoked), None]);
}

#[test]
fn one_that_an_operator_names_takes_over_as_soon_as_it_is_known() {
    let mut server = at_rest();
    let mut named = jwt(77, Phase::Prepared, days(5));
    named.asked = Asked::Activated;
    named.publication = None;
    server.state.authorities.push(named);
    server.nodes = missing(1);
    server.perform(usize::MAX);
    assert_eq!(server.phases(&[id(77), id(200)]), [Some(Phase::Prepared), Some(Phase::Active)]);
    server.acknowledge();
    server.perform(usize::MAX);
    assert_eq!(
        server.phases(&[id(77), id(200)]),
        [Some(Phase::Active), Some(Phase::Old)],
        "though it ends sooner"
    );
    server.perform(usize::MAX);
    assert_eq!(server.signers()[1], Signing::With(id(77)));
}

#[test]
fn who_signs_is_replaced_and_not_simply_revoked() {
    let server = at_rest();
    for authority in &server.state.authorities {
        let refused = Order::about(order_id(1), authority, Extent::Withdraw);
        match authority.kind {
            AuthorityKind::X509Issuing => assert_eq!(refused.unwrap().replaces, [id(1)]),
            kind => assert_eq!(
                refused.unwrap_err(),
                OrderRefused::Signs {
                    id: authority.id.clone(),
                    kind
                }
            ),
        }
    }
    let old = root(9, Phase::Old, START + days(1));
    let prune = Order::about(order_id(1), &old, Extent::Withdraw).unwrap();
    assert_eq!((prune.extent, prune.replaces), (Extent::Withdraw, vec![id(9)]));
    let gone = root(9, Phase::Revoked, START + days(1));
    assert_eq!(Order::about(order_id(1), &gone, Extent::Taint), Err(OrderRefused::Revoked { id: id(9) }));
    let nothing = Order::replacing(order_id(1), AuthorityKind::Wit, Extent::Replace, &server.state.authorities, START);
    assert_eq!(nothing, Err(OrderRefused::Nothing { kind: AuthorityKind::Wit }));
}

#[test]
fn two_orders_about_the_same_do_not_meet_but_an_emergency_takes_the_place_of_a_planned_one() {
    use AuthorityKind::{Jwt, Wit, X509Issuing, X509Root};
    use Extent::{Replace, Withdraw};
    let order = |kind, extent| Order {
        id: order_id(1),
        kind,
        extent,
        replaces: vec![id(1)],
    };
    let table = [
        (Jwt, Replace, Jwt, Replace, None),
        (Jwt, Replace, Wit, Replace, Some(Beside::Both)),
        (Jwt, Withdraw, X509Root, Withdraw, Some(Beside::Both)),
        (X509Issuing, Replace, X509Root, Withdraw, None),
        (X509Issuing, Withdraw, X509Root, Replace, Some(Beside::Supersedes)),
        (X509Root, Withdraw, X509Issuing, Replace, Some(Beside::Supersedes)),
        (X509Root, Withdraw, X509Issuing, Withdraw, None),
    ];
    for (kind, extent, running_kind, running_extent, expected) in table {
        let running = order(running_kind, running_extent);
        let judged = order(kind, extent).judge_beside(&running);
        match expected {
            Some(beside) => assert_eq!(judged, Ok(beside), "{kind} {extent:?} beside {running:?}"),
            None => assert_eq!(
                judged,
                Err(OrderRefused::Running {
                    running: running.id.clone(),
                    kind: running_kind
                })
            ),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Orders of every kind, one after another or at once, with crashes between any two actions, nodes that lag, and clocks that step.
    #[test]
    fn whatever_is_ordered_somebody_always_signs_and_every_order_comes_to_its_end(
        orders in proptest::collection::vec((0_usize..3, any::<bool>(), 1_u64..40), 1..6),
        ticks in proptest::collection::vec((proptest::option::of(0_usize..4), any::<bool>()), 1..20),
    ) {
        let mut server = at_rest();
        let mut given = 0;
        let mut waiting = orders.iter();
        let mut next_in = 0;
        let through = (None, true);
        for (crash, acknowledges) in ticks.iter().chain([&through]).cycle().take(600) {
            if next_in == 0 {
                if let Some((kind, is_emergency, wait)) = waiting.next() {
                    let kind = [AuthorityKind::X509Root, AuthorityKind::X509Issuing, AuthorityKind::Jwt][*kind];
                    let extent = if *is_emergency { Extent::Withdraw } else { Extent::Replace };
                    let number = u8::try_from(given + 1).unwrap();
                    let order = Order::replacing(order_id(number), kind, extent, &server.state.authorities, server.now.wall).unwrap();
                    let judged: Result<Vec<_>, _> = server.state.orders.iter().map(|running| order.judge_beside(running)).collect();
                    if let Ok(judged) = judged {
                        given += 1;
                        let mut beside = judged.into_iter();
                        server.state.orders.retain(|_| beside.next() == Some(Beside::Both));
                        server.state.orders.push(order);
                    }
                    next_in = *wait;
                }
            } else {
                next_in -= 1;
            }
            server.nodes = if *acknowledges { Missing::default() } else { missing(1) };
            if *acknowledges {
                server.acknowledge();
            }
            server.pass(Duration::from_secs(10), 0);
            server.perform(crash.unwrap_or(usize::MAX));
            server.store_time();
            let [Signing::With(signer), Signing::With(key)] = server.signers() else {
                panic!("nobody signs: {:?}", server.state)
            };
            let signer = server.find(&signer).clone();
            let root = server.find(&signer.issuer.clone().unwrap()).clone();
            for authority in [&signer, &root, &server.find(&key).clone()] {
                assert!(matches!(authority.phase, Phase::Active | Phase::Old), "{authority:?}");
            }
            let active = |kind| server.count_of(kind, Phase::Active);
            assert!(active(AuthorityKind::X509Root) == 1 && active(AuthorityKind::Jwt) == 1);
        }
        // A planned one waits for a day at most.
        server.pass(days(1), 0);
        server.perform(usize::MAX);
        server.acknowledge();
        server.perform(usize::MAX);
        assert_eq!(server.state.orders, []);
        assert_eq!(server.plan().actions, [], "idempotent");
    }
}

fn relieving(server: &mut Server) -> Order {
    let is_active = |one: &&AuthorityState| one.kind == AuthorityKind::X509Issuing && one.phase == Phase::Active;
    let full = server.state.authorities.iter().find(is_active).unwrap();
    let order = Order::relieving(order_id(99), full).unwrap();
    server.state.orders.push(order.clone());
    order
}

#[test]
fn an_issuing_ca_with_a_list_that_is_too_long_is_revoked_without_its_root() {
    let mut server = at_rest();
    let roots = |server: &Server| {
        let roots = server.state.authorities.iter().filter(|one| one.kind == AuthorityKind::X509Root);
        roots.cloned().collect::<Vec<_>>()
    };
    let before = roots(&server);
    let order = relieving(&mut server);
    server.perform(usize::MAX);
    server.acknowledge();
    server.perform(usize::MAX);
    server.acknowledge();
    server.perform(usize::MAX);
    assert_eq!(server.phases(&order.replaces), [Some(Phase::Revoked)]);
    assert_eq!(server.finished, [order.id]);
    assert_eq!(roots(&server), before);
    let [Signing::With(signer), _] = server.signers() else {
        panic!("somebody signs")
    };
    assert!(!order.replaces.contains(&signer));
}

#[test]
fn a_list_that_is_too_long_waits_for_an_emergency_and_for_no_planned_change() {
    let mut server = at_rest();
    let relief = relieving(&mut server);
    let (x509, root) = (AuthorityKind::X509Issuing, AuthorityKind::X509Root);
    let of = |kind, extent| Order::replacing(order_id(7), kind, extent, &server.state.authorities, server.now.wall).unwrap();
    for kind in [x509, root] {
        assert_eq!(relief.judge_beside(&of(kind, Extent::Replace)), Ok(Beside::Both));
        assert_eq!(of(kind, Extent::Withdraw).judge_beside(&relief), Ok(Beside::Supersedes));
        assert!(matches!(relief.judge_beside(&of(kind, Extent::Withdraw)), Err(OrderRefused::Running { .. })));
    }
    assert!(matches!(relief.judge_beside(&relief), Err(OrderRefused::Running { .. })));
    let others = server.state.authorities.iter().filter(|one| one.kind != x509);
    assert!(others.clone().count() > 1);
    for other in others {
        assert!(Order::relieving(order_id(8), other).is_err());
    }
}
