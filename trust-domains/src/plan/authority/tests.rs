use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, any, proptest};

use super::{
    Asked, AuthoritiesState, AuthorityAction, AuthorityId, AuthorityKind, AuthorityPlan, AuthorityPolicy, AuthorityProblem, AuthorityState, ForgetReason,
    Missing, OrderId, Phase, PrepareReason, Publication, Signing, plan,
};
use crate::clock::Reading;
use crate::jws::TokenAlgorithm;
use crate::plan::clock_evidence::{ClockEvidence, ClockVerdict};
use crate::plan::validity::Validity;
use crate::timestamp::Timestamp;

mod orders;
mod roots;
mod tokens;
mod wits;

const START: Timestamp = Timestamp::from_unix(1_795_338_000);
const DAY: u64 = 86_400;
const SKEW: Duration = Duration::from_secs(60);

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

/// The defaults: issuing CAs of seven days, leaves of up to one. The margin is 48 h, the lead 30 h: prepared at 108 h left, active at 78 h left.
fn policy() -> AuthorityPolicy {
    AuthorityPolicy::new(days(7), days(1)).unwrap()
}

fn id(number: u8) -> AuthorityId {
    AuthorityId::from_key_id(&[number; 20]).unwrap()
}

fn root(number: u8, phase: Phase, not_after: Timestamp) -> AuthorityState {
    AuthorityState {
        id: id(number),
        kind: AuthorityKind::X509Root,
        phase,
        issuer: None,
        not_before: START - days(1),
        not_after,
        algorithm: None,
        publication: None,
        asked: Asked::Nothing,
    }
}

fn issuing(number: u8, phase: Phase, not_after: Timestamp) -> AuthorityState {
    AuthorityState {
        id: id(number),
        kind: AuthorityKind::X509Issuing,
        phase,
        issuer: Some(id(1)),
        not_before: START - days(1),
        not_after,
        algorithm: None,
        publication: None,
        asked: Asked::Nothing,
    }
}

/// A key of JWT-SVIDs that every node knows.
fn jwt(number: u8, phase: Phase, left: Duration) -> AuthorityState {
    AuthorityState {
        id: id(number),
        kind: AuthorityKind::Jwt,
        phase,
        issuer: None,
        not_before: START - days(1),
        not_after: START + left,
        algorithm: Some(TokenAlgorithm::Es256),
        publication: Some(Publication {
            at: START - days(1),
            missing: Missing::default(),
            missing_connected: Missing::default(),
            refreshes: Duration::ZERO,
        }),
        asked: Asked::Nothing,
    }
}

/// One that signs for longer than any test of issuing CAs.
fn good_jwt() -> AuthorityState {
    jwt(200, Phase::Active, days(20_000))
}

fn at(wall: Timestamp) -> Reading {
    Reading {
        wall,
        since_boot: Duration::from_secs(u64::try_from(wall.unix()).unwrap()),
    }
}

/// Asks the plan about these roots and issuing CAs, beside a JWT key that needs nothing.
fn decide(mut authorities: Vec<AuthorityState>) -> AuthorityPlan {
    authorities.push(good_jwt());
    plan(
        at(START),
        &AuthoritiesState::new(
            authorities,
            ClockEvidence {
                accepted: None,
                last_stored: Some(START),
            },
        ),
        &policy(),
    )
}

fn good_root() -> AuthorityState {
    root(1, Phase::Active, START + days(300))
}

fn ends(number: u8, phase: Phase, left: Duration) -> AuthorityState {
    issuing(number, phase, START + left)
}

fn prepare(reason: PrepareReason) -> AuthorityAction {
    AuthorityAction::PrepareIssuing {
        root: id(1),
        not_after: START + days(7),
        reason,
    }
}

fn activate(number: u8, reason: PrepareReason) -> AuthorityAction {
    hand_over(number, reason, &[])
}

fn hand_over(number: u8, reason: PrepareReason, retires: &[u8]) -> AuthorityAction {
    AuthorityAction::Activate {
        id: id(number),
        reason,
        left_behind: Missing::default(),
        retires: retires.iter().copied().map(id).collect(),
    }
}

fn retire(number: u8, replaced_by: u8) -> AuthorityAction {
    AuthorityAction::Retire {
        id: id(number),
        replaced_by: id(replaced_by),
    }
}

fn forget(number: u8, reason: ForgetReason) -> AuthorityAction {
    AuthorityAction::Forget { id: id(number), reason }
}

#[test]
fn each_state_leads_to_its_next_step() {
    use Phase::{Active, Old, Prepared, Revoked, Tainted};
    let soon = |left| PrepareReason::EndsSoon { not_after: START + left };
    let none = PrepareReason::NoneActive;
    let ended = START - Duration::from_secs(61);
    let table: Vec<(&str, Vec<AuthorityState>, Vec<AuthorityAction>, Signing)> = vec![
        ("fresh", vec![ends(2, Active, days(7))], vec![], Signing::With(id(2))),
        ("none yet", vec![], vec![prepare(none)], Signing::Stopped),
        (
            "none active, one prepared",
            vec![ends(2, Prepared, days(7))],
            vec![activate(2, none)],
            Signing::Stopped,
        ),
        (
            "108 h left",
            vec![ends(2, Active, hours(108))],
            vec![prepare(soon(hours(108)))],
            Signing::With(id(2)),
        ),
        (
            "a second more",
            vec![ends(2, Active, hours(108) + Duration::from_secs(1))],
            vec![],
            Signing::With(id(2)),
        ),
        (
            "prepared, 100 h left",
            vec![ends(2, Active, hours(100)), ends(3, Prepared, hours(160))],
            vec![],
            Signing::With(id(2)),
        ),
        (
            "prepared, 78 h left",
            vec![ends(2, Active, hours(78)), ends(3, Prepared, hours(138))],
            vec![hand_over(3, soon(hours(78)), &[2])],
            Signing::With(id(2)),
        ),
        (
            "a crash after activation",
            vec![ends(2, Active, hours(78)), ends(3, Active, hours(138))],
            vec![retire(2, 3)],
            Signing::With(id(3)),
        ),
        (
            "old and not ended",
            vec![ends(2, Old, hours(1)), ends(3, Active, days(6))],
            vec![],
            Signing::With(id(3)),
        ),
        (
            "ended by more than the skew",
            vec![
                issuing(2, Old, ended),
                issuing(4, Revoked, ended),
                issuing(5, Tainted, ended),
                ends(3, Active, days(6)),
            ],
            [2, 4, 5].map(|number| forget(number, ForgetReason::Ended { not_after: ended })).to_vec(),
            Signing::With(id(3)),
        ),
        (
            "ended by the skew",
            vec![issuing(2, Old, START - SKEW), ends(3, Active, days(6))],
            vec![],
            Signing::With(id(3)),
        ),
        (
            "the active one is tainted",
            vec![ends(2, Tainted, days(6))],
            vec![prepare(none)],
            Signing::Stopped,
        ),
        (
            "the active one ended while the server was off",
            vec![issuing(2, Active, ended)],
            vec![prepare(none)],
            Signing::Stopped,
        ),
        (
            "and the next is there",
            vec![issuing(2, Active, ended), ends(3, Prepared, days(7))],
            vec![hand_over(3, none, &[2])],
            Signing::Stopped,
        ),
        (
            "two were prepared in a crash",
            vec![ends(2, Active, days(7)), ends(3, Prepared, days(7))],
            vec![forget(3, ForgetReason::NotNeeded)],
            Signing::With(id(2)),
        ),
    ];
    for (what, mut authorities, actions, signing) in table {
        authorities.push(good_root());
        let decided = decide(authorities);
        assert_eq!((decided.actions, decided.signing), (actions, signing), "{what}");
        assert!(
            decided.problems.iter().all(|problem| *problem == AuthorityProblem::NoIssuing),
            "{what}: {:?}",
            decided.problems
        );
    }
}

#[test]
fn an_issuing_ca_under_another_root_signs_until_it_is_replaced() {
    let mut under_old = ends(2, Phase::Active, days(6));
    under_old.issuer = Some(id(9));
    let decided = decide(vec![good_root(), root(9, Phase::Old, START + days(60)), under_old.clone()]);
    assert_eq!(
        (decided.actions, decided.signing),
        (vec![prepare(PrepareReason::NoneActive)], Signing::With(id(2)))
    );
    let decided = decide(vec![good_root(), root(9, Phase::Tainted, START + days(60)), under_old]);
    assert_eq!(decided.signing, Signing::Stopped, "a tainted root's issuing CA signs nothing");
}

#[test]
fn a_root_without_a_successor_is_told_and_never_clips_leaves() {
    // The successor is made at 74 days left; here it waits for a node that never comes, and the root runs down.
    let with_root = |left: Duration, active: Duration| {
        let mut next = root(7, Phase::Prepared, START + days(300));
        let mut missing = Missing::default();
        missing.push(&"web-1".parse().unwrap());
        next.publication = Some(Publication {
            at: START,
            missing_connected: missing.clone(),
            missing,
            refreshes: Duration::ZERO,
        });
        decide(vec![root(1, Phase::Active, START + left), next, ends(2, Phase::Active, active)])
    };
    let left = days(14) - Duration::from_secs(1);
    let (not_after, successor_by) = (START + left, START - Duration::from_secs(1));
    assert_eq!(
        with_root(left, days(7)).problems,
        [AuthorityProblem::RootEndsSoon {
            root: id(1),
            not_after,
            successor_by
        }]
    );
    assert!(with_root(days(14), days(7)).problems.is_empty());
    // An issuing CA clipped by its root is made as long as that gains a lead.
    let clipped = with_root(hours(138), hours(108));
    assert!(matches!(clipped.actions[..], [AuthorityAction::PrepareIssuing { not_after, .. }] if not_after == START + hours(138)));
    // Past that the plan makes none, and says from when leaves are refused.
    let short = with_root(hours(137), hours(108));
    assert_eq!(short.actions, []);
    let refused_from = START + hours(84);
    assert!(short.problems.contains(&AuthorityProblem::RootTooShort {
        root: id(1),
        not_after: START + hours(137),
        refused_from
    }));
    // What still fits is signed: nothing stops before it must.
    let last_hours = with_root(hours(2), hours(2));
    assert_eq!(last_hours.signing, Signing::With(id(2)));
    let words: Vec<_> = last_hours.problems.iter().map(AuthorityProblem::word).collect();
    assert_eq!(words, ["root_too_short", "root_ends_soon", "successor_late"]);
    assert!(Validity::plan(START, days(1), START + hours(2), None, SKEW).is_err());
    assert!(Validity::plan(START, hours(1), START + hours(2), None, SKEW).is_ok());
}

#[test]
fn a_clock_that_is_behind_signs_nothing_and_one_that_jumped_destroys_nothing() {
    let authorities = vec![
        good_root(),
        good_jwt(),
        issuing(2, Phase::Old, START - days(1)),
        ends(3, Phase::Active, days(6)),
    ];
    let with_stored = |last_stored| {
        plan(
            at(START),
            &AuthoritiesState::new(authorities.clone(), ClockEvidence { accepted: None, last_stored }),
            &policy(),
        )
    };
    let behind = with_stored(Some(START + Duration::from_secs(61)));
    assert_eq!((behind.actions, behind.signing), (vec![], Signing::Stopped));
    assert_eq!(behind.problems.iter().map(AuthorityProblem::word).collect::<Vec<_>>(), ["clock_behind"]);
    let jumped = with_stored(Some(START - days(3)));
    assert_eq!((jumped.actions, jumped.signing), (vec![], Signing::With(id(3))));
    assert_eq!(
        jumped.problems,
        [AuthorityProblem::ClockJumped {
            last_stored: START - days(3),
            by_s: 3 * 86_400,
            held: 1
        }]
    );
    let right = with_stored(Some(START));
    assert_eq!(right.actions, [forget(2, ForgetReason::Ended { not_after: START - days(1) })]);
}

#[test]
fn a_policy_leaves_an_issuing_ca_time_to_sign_in() {
    assert!(AuthorityPolicy::new(Duration::from_secs(450), Duration::from_secs(180)).is_ok());
    let refused = AuthorityPolicy::new(Duration::from_secs(449), Duration::from_secs(180)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "issuing CA life of 449 s, with leaves of up to 180 s it needs at least 450 s"
    );
    assert!(
        AuthorityPolicy::new(Duration::from_secs(80), Duration::from_secs(10)).is_ok(),
        "at least a minute to sign in"
    );
    assert!(AuthorityPolicy::new(Duration::from_secs(79), Duration::from_secs(10)).is_err());
    assert!(AuthorityPolicy::new(Duration::MAX, Duration::MAX).is_ok(), "no overflow");
}

#[test]
fn an_authority_id_is_lower_case_hex() {
    for good in ["00", "ab12", &"0f".repeat(32)] {
        assert_eq!(good.parse::<AuthorityId>().unwrap().to_string(), good);
    }
    for bad in ["", "0", "AB", "zz", "0x", &"0f".repeat(33), "a b1"] {
        assert!(bad.parse::<AuthorityId>().is_err(), "{bad}");
    }
    assert_eq!(AuthorityId::from_key_id(&[]), None);
    assert_eq!(AuthorityId::from_key_id(&[0xab; 33]), None);
}

/// A server's loop: performs plans on its state, crashes where it is told to.
struct Server {
    now: Reading,
    state: AuthoritiesState,
    policy: AuthorityPolicy,
    /// The issuing CAs that were made.
    made: u64,
    /// The token keys that were made.
    made_tokens: u64,
    /// The roots that were made.
    made_roots: u64,
    /// Who does not know a key when it is published.
    nodes: Missing,
    /// The orders that are done.
    finished: Vec<OrderId>,
}

impl Server {
    fn new(policy: AuthorityPolicy, root_life: Duration) -> Self {
        let clock = ClockEvidence {
            accepted: None,
            last_stored: Some(START),
        };
        let authorities = vec![root(1, Phase::Active, START + root_life), jwt(200, Phase::Active, days(7))];
        Self {
            now: at(START),
            state: AuthoritiesState::new(authorities, clock),
            policy,
            made: 0,
            made_tokens: 0,
            made_roots: 0,
            nodes: Missing::default(),
            finished: Vec::new(),
        }
    }

    fn plan(&self) -> AuthorityPlan {
        plan(self.now, &self.state, &self.policy)
    }

    /// Performs at most `steps` single actions, asking again when a plan is done.
    fn perform(&mut self, steps: usize) {
        let mut left = steps;
        while left > 0 {
            let actions = self.plan().actions;
            if actions.is_empty() {
                return;
            }
            for action in actions.into_iter().take(left) {
                self.apply(action);
                left -= 1;
            }
        }
    }

    fn apply(&mut self, action: AuthorityAction) {
        match action {
            AuthorityAction::PrepareIssuing { root, not_after, .. } => {
                self.made += 1;
                self.make(AuthorityKind::X509Issuing, None, Some(root), not_after);
            }
            AuthorityAction::PrepareRoot { not_after, .. } => {
                self.made_roots += 1;
                self.make(AuthorityKind::X509Root, None, None, not_after);
            }
            AuthorityAction::PrepareToken {
                kind, algorithm, not_after, ..
            } => {
                self.made_tokens += 1;
                self.make(kind, Some(algorithm), None, not_after);
            }
            AuthorityAction::Publish { id, refreshes } => {
                let (at, missing) = (self.now.wall, self.nodes.clone());
                let missing_connected = missing.clone();
                self.find(&id).publication = Some(Publication {
                    at,
                    missing,
                    missing_connected,
                    refreshes,
                });
            }
            AuthorityAction::Activate { id, retires, .. } => {
                self.phase(&id, Phase::Prepared, Phase::Active);
                retires.iter().for_each(|other| self.phase(other, Phase::Active, Phase::Old));
            }
            AuthorityAction::Taint { id, .. } => self.take_away(&id, Phase::Tainted),
            AuthorityAction::Revoke { id, .. } => {
                assert_eq!(self.find(&id).phase, Phase::Tainted, "nothing is withdrawn before it could be replaced");
                self.take_away(&id, Phase::Revoked);
            }
            AuthorityAction::Finish { order, .. } => {
                self.state.orders.retain(|running| running.id != order);
                self.finished.push(order);
            }
            AuthorityAction::Retire { id, replaced_by } => {
                assert_eq!(self.find(&replaced_by).phase, Phase::Active, "the successor is active first");
                self.phase(&id, Phase::Active, Phase::Old);
            }
            AuthorityAction::Forget {
                id,
                reason: ForgetReason::Ordered,
            } => {
                assert_eq!(self.find(&id).phase, Phase::Prepared, "what signed is never forgotten for an order");
                self.state.authorities.retain(|authority| authority.id != id);
            }
            AuthorityAction::Forget { id, .. } => {
                let (now, wit) = (self.now.wall, self.policy.wit().is_some());
                let forgotten = self.find(&id);
                let nobody_follows = forgotten.kind == AuthorityKind::Wit && !wit && forgotten.not_after < now;
                assert!(forgotten.phase != Phase::Active || nobody_follows);
                assert_eq!(
                    self.state.clock.judge(self.now, self.policy.clock()),
                    ClockVerdict::Agreed,
                    "nothing is destroyed by a doubtful clock"
                );
                self.state.authorities.retain(|authority| authority.id != id);
            }
        }
    }

    fn make(&mut self, kind: AuthorityKind, algorithm: Option<TokenAlgorithm>, issuer: Option<AuthorityId>, not_after: Timestamp) {
        let number = self.made + self.made_tokens + self.made_roots;
        let made = AuthorityState {
            id: AuthorityId::from_key_id(&number.to_be_bytes()).unwrap(),
            kind,
            phase: Phase::Prepared,
            issuer,
            not_before: self.now.wall - SKEW,
            not_after,
            algorithm,
            publication: None,
            asked: Asked::Nothing,
        };
        self.state.authorities.push(made);
    }

    /// As the loop does: with a root go its issuing CAs.
    fn take_away(&mut self, id: &AuthorityId, phase: Phase) {
        let goes = |authority: &&mut AuthorityState| authority.id == *id || authority.issuer.as_ref() == Some(id);
        for authority in self.state.authorities.iter_mut().filter(goes) {
            authority.phase = phase;
            authority.publication = None;
        }
    }

    fn find(&mut self, id: &AuthorityId) -> &mut AuthorityState {
        self.state
            .authorities
            .iter_mut()
            .find(|authority| authority.id == *id)
            .expect("an action names what there is")
    }

    fn phase(&mut self, id: &AuthorityId, from: Phase, to: Phase) {
        let authority = self.find(id);
        assert_eq!(authority.phase, from);
        authority.phase = to;
    }

    fn count(&self, phase: Phase) -> usize {
        self.count_of(AuthorityKind::X509Issuing, phase)
    }

    fn count_of(&self, kind: AuthorityKind, phase: Phase) -> usize {
        self.state
            .authorities
            .iter()
            .filter(|authority| authority.kind == kind && authority.phase == phase)
            .count()
    }

    fn pass(&mut self, time: Duration, step: i64) {
        self.now = Reading {
            wall: Timestamp::from_unix((self.now.wall + time).unix() + step),
            since_boot: self.now.since_boot + time,
        };
    }

    /// The loop remembers the time while it believes the clock.
    fn store_time(&mut self) {
        if self.state.clock.judge(self.now, self.policy.clock()) == ClockVerdict::Agreed {
            self.state.clock = ClockEvidence {
                accepted: Some(self.now),
                last_stored: self.state.clock.last_stored.max(Some(self.now.wall)),
            };
        }
    }
}

fn any_policy() -> impl Strategy<Value = AuthorityPolicy> {
    (10_u64..2 * DAY, 0_u64..8 * DAY).prop_map(|(longest, window)| {
        let (longest, window) = (Duration::from_secs(longest), Duration::from_secs((longest / 2 + 1).max(60) + window));
        AuthorityPolicy::new(longest * 2 + window, longest).unwrap()
    })
}

fn any_phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(vec![Phase::Prepared, Phase::Active, Phase::Old, Phase::Tainted, Phase::Revoked])
}

fn any_authorities() -> impl Strategy<Value = Vec<AuthorityState>> {
    let offset = || -20_i64 * 86_400..20 * 86_400;
    let authority = (any::<bool>(), any_phase(), 1_u8..4, offset(), offset());
    proptest::collection::vec(authority, 0..8).prop_map(|authorities| {
        let make = |(number, (is_root, phase, issuer, begins, ends)): (u8, (bool, Phase, u8, i64, i64))| AuthorityState {
            id: id(number),
            kind: if is_root { AuthorityKind::X509Root } else { AuthorityKind::X509Issuing },
            phase,
            issuer: (!is_root).then(|| id(issuer)),
            not_before: Timestamp::from_unix(START.unix() + begins),
            not_after: Timestamp::from_unix(START.unix() + ends),
            algorithm: None,
            publication: None,
            asked: Asked::Nothing,
        };
        (1_u8..).zip(authorities).map(make).collect()
    })
}

proptest! {
    #[test]
    fn from_any_state_the_plan_comes_to_rest_with_at_most_one_active(authorities in any_authorities(), policy in any_policy(), stored in proptest::option::of(-3_i64 * 86_400..3 * 86_400)) {
        let last_stored = stored.map(|offset| Timestamp::from_unix(START.unix() + offset));
        let mut server = Server { now: at(START), state: AuthoritiesState::new(authorities, ClockEvidence { accepted: None, last_stored }), policy, made: 0, made_tokens: 0, made_roots: 0, nodes: Missing::default(), finished: Vec::new() };
        let before = server.plan();
        server.perform(100);
        let after = server.plan();
        assert_eq!(after.actions, [], "idempotent");
        if let Signing::With(signer) = &after.signing {
            assert!(server.count(Phase::Active) == 1 || server.state.authorities.iter().any(|root| root.kind == AuthorityKind::X509Root && root.phase == Phase::Old));
            let signer = server.find(signer);
            assert!(signer.phase == Phase::Active && signer.not_before <= START && signer.not_after > START);
        }
        assert!(before.signing == Signing::Stopped || after.signing != Signing::Stopped, "what could sign can still sign");
        assert!(server.made <= 2 && server.made_roots <= 2, "one is enough, and another where a short root is followed by a long one");
    }

    #[test]
    fn no_issuing_ca_outlives_its_root(authorities in any_authorities(), policy in any_policy()) {
        let state = AuthoritiesState::new(authorities, ClockEvidence { accepted: None, last_stored: None });
        for action in plan(at(START), &state, &policy).actions {
            if let AuthorityAction::PrepareIssuing { root, not_after, .. } = action {
                let root = state.authorities.iter().find(|authority| authority.id == root).unwrap();
                assert!(not_after <= root.not_after && not_after > START && root.phase == Phase::Active);
            }
        }
    }

    #[test]
    fn no_time_makes_it_panic(authorities in any_authorities(), walls in any::<[i64; 3]>(), boots in any::<[u64; 2]>(), lives in any::<[u64; 2]>()) {
        let reading = |wall: i64, boot: u64| Reading { wall: Timestamp::from_unix(wall), since_boot: Duration::from_secs(boot) };
        let clock = ClockEvidence { accepted: Some(reading(walls[0], boots[0])), last_stored: Some(Timestamp::from_unix(walls[1])) };
        if let Ok(policy) = AuthorityPolicy::new(Duration::from_secs(lives[0]), Duration::from_secs(lives[1])) {
            let _ = plan(reading(walls[2], boots[1]), &AuthoritiesState::new(authorities, clock), &policy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each tick the loop runs, or crashes after some actions, or is away; the next tick goes on from what is stored.
    #[test]
    fn a_server_that_crashes_anywhere_always_has_an_issuing_ca_that_covers_the_longest_life(
        policy in any_policy(),
        crashes in proptest::collection::vec(proptest::option::of(0_usize..4), 1..50),
    ) {
        let mut server = Server::new(policy, days(3_650));
        server.perform(usize::MAX);
        // The loop wakes eight times within a lead: a crash or two in a row cost nothing.
        let tick = policy.issuing().handover_lead() / 8;
        for crash in crashes.iter().cycle().take(400) {
            server.pass(tick, 0);
            // A crash lets one tick pass undone; then it runs to its end.
            if let Some(steps) = crash {
                server.perform(*steps);
                assert!(server.count(Phase::Active) >= 1);
                server.pass(tick, 0);
            }
            server.perform(usize::MAX);
            server.store_time();
            let decided = server.plan();
            assert_eq!((decided.actions, decided.problems), (vec![], vec![]));
            let Signing::With(signer) = decided.signing else { panic!("nobody signs") };
            let issuer = server.find(&signer).clone();
            assert!(server.now.wall.duration_until(issuer.not_after) >= policy.issuing().signing_margin(), "the margin is kept");
            let leaf = Validity::plan(server.now.wall, policy.issuing().longest(), issuer.not_after, None, SKEW).expect("never clipped");
            assert!(leaf.not_after() <= issuer.not_after);
            assert!(server.state.authorities.len() <= 18, "what has ended is forgotten");
            assert_eq!((server.count(Phase::Active), server.count_of(AuthorityKind::Jwt, Phase::Active)), (1, 1));
            let Signing::With(signer) = decided.jwt_signing else { panic!("nobody signs tokens") };
            let key = server.find(&signer).clone();
            assert!(server.now.wall.duration_until(key.not_after) >= policy.jwt().life().signing_margin(), "the margin is kept");
        }
    }

    /// Issue 3: thirty days, with jumps of hours both ways. The store keeps what it has; when the clock is right again, signing goes on.
    #[test]
    fn jumps_of_the_clock_destroy_nothing_that_is_needed(jumps in proptest::collection::vec((1_u64..24, -12_i64 * 3_600..12 * 3_600), 1..60)) {
        let mut server = Server::new(policy(), days(365));
        server.perform(usize::MAX);
        for (wait, step) in jumps {
            let before = server.state.authorities.clone();
            server.pass(Duration::ZERO, step);
            server.perform(usize::MAX);
            let verdict = server.state.clock.judge(server.now, server.policy.clock());
            if step < -60 {
                assert_eq!((verdict.allows_signing(), &server.state.authorities), (false, &before), "behind: nothing changes");
            } else {
                let Signing::With(signer) = server.plan().signing else { panic!("nobody signs after {step} s") };
                assert!(server.find(&signer).clone().is_valid_at(server.now.wall));
            }
            // Somebody sets it right; where it ran ahead, time catches up.
            server.pass(hours(wait), -step);
            server.perform(usize::MAX);
            server.store_time();
            let Signing::With(signer) = server.plan().signing else { panic!("nobody signs again") };
            assert!(server.find(&signer).clone().is_valid_at(server.now.wall));
            // A jump within `max_clock_jump` of the stored time is believed, so what ends within a day may go with it.
            let needed_until = server.now.wall + days(1);
            let kept = before.iter().filter(|authority| authority.not_after > needed_until && authority.phase != Phase::Prepared);
            for authority in kept {
                assert!(server.state.authorities.iter().any(|other| other.id == authority.id), "{authority:?} is needed by what it signed");
            }
        }
    }
}
