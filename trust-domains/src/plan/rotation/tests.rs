use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, any, proptest};

use super::{
    Attempt, CredentialState, Demand, HeldCredential, Jitter, RenewReason, RotationAction, RotationPolicy, WithdrawReason, next_due, plan, renewal_due,
    retry_delay,
};
use crate::clock::{Clock, ManualClock, Reading};
use crate::timestamp::Timestamp;

const START: Timestamp = Timestamp::from_unix(1_795_338_000);
const TTL: Duration = Duration::from_secs(5_400);
const POLICY: RotationPolicy = RotationPolicy {
    clock_skew: Duration::from_secs(60),
};
const HOUR: i64 = 3_600;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn held(now: Reading) -> HeldCredential {
    HeldCredential::issued(now, TTL, now.wall + TTL, Jitter::NONE, &POLICY)
}

fn state(demand: Demand, held: Option<HeldCredential>, attempt: Attempt) -> CredentialState<u8> {
    CredentialState { id: 7, demand, held, attempt }
}

fn renew(reason: RenewReason) -> RotationAction<u8> {
    RotationAction::Renew { id: 7, reason }
}

fn withdraw(reason: WithdrawReason) -> RotationAction<u8> {
    RotationAction::Withdraw { id: 7, reason }
}

#[test]
fn each_state_asks_for_its_action() {
    let start = Reading {
        wall: START,
        since_boot: seconds(1_000),
    };
    let after = |elapsed: u64, step: i64| Reading {
        wall: Timestamp::from_unix(START.unix() + i64::try_from(elapsed).unwrap() + step),
        since_boot: seconds(1_000 + elapsed),
    };
    let some = Some(held(start));
    let retry = |at: u64| Attempt::RetryAt(seconds(1_000 + at));
    let stepped = |by_s| vec![renew(RenewReason::ClockStepped { by_s })];
    let table = [
        (
            "nothing is held",
            Demand::Current,
            None,
            Attempt::Idle,
            start,
            vec![renew(RenewReason::NeverIssued)],
        ),
        ("fresh", Demand::Current, some, Attempt::Idle, after(2_699, 0), vec![]),
        (
            "half its life is over",
            Demand::Current,
            some,
            Attempt::Idle,
            after(2_700, 0),
            vec![renew(RenewReason::HalfLife)],
        ),
        ("a request is under way", Demand::Current, some, Attempt::InFlight, after(2_700, 0), vec![]),
        ("too early after a failure", Demand::Current, some, retry(2_800), after(2_799, 0), vec![]),
        (
            "time to try again",
            Demand::Current,
            some,
            retry(2_800),
            after(2_800, 0),
            vec![renew(RenewReason::HalfLife)],
        ),
        (
            "ended",
            Demand::Current,
            some,
            Attempt::Idle,
            after(5_400, 0),
            vec![withdraw(WithdrawReason::Ended), renew(RenewReason::Ended)],
        ),
        (
            "ended while a request is under way",
            Demand::Current,
            some,
            Attempt::InFlight,
            after(5_400, 0),
            vec![withdraw(WithdrawReason::Ended)],
        ),
        (
            "the entry changed",
            Demand::EntryChanged,
            some,
            Attempt::Idle,
            after(1, 0),
            vec![renew(RenewReason::EntryChanged)],
        ),
        (
            "the issuer is tainted",
            Demand::IssuerTainted,
            some,
            Attempt::Idle,
            after(1, 0),
            vec![renew(RenewReason::IssuerTainted)],
        ),
        (
            "the entry is gone",
            Demand::EntryGone,
            some,
            Attempt::Idle,
            after(1, 0),
            vec![withdraw(WithdrawReason::EntryGone)],
        ),
        (
            "the entry is gone and nothing is held",
            Demand::EntryGone,
            None,
            Attempt::Idle,
            after(1, 0),
            vec![],
        ),
        (
            "the entry names another identity",
            Demand::IdentityChanged,
            some,
            Attempt::Idle,
            after(1, 0),
            vec![withdraw(WithdrawReason::IdentityChanged), renew(RenewReason::IdentityChanged)],
        ),
        ("the clock was set by the skew", Demand::Current, some, Attempt::Idle, after(1, 60), vec![]),
        ("the clock was set forward", Demand::Current, some, Attempt::Idle, after(1, 61), stepped(61)),
        ("the clock was set back", Demand::Current, some, Attempt::Idle, after(1, -HOUR), stepped(-HOUR)),
        (
            "set past the end",
            Demand::Current,
            some,
            Attempt::Idle,
            after(1, 2 * HOUR),
            vec![withdraw(WithdrawReason::Ended), renew(RenewReason::Ended)],
        ),
        (
            "set back, the other clock says ended",
            Demand::Current,
            some,
            Attempt::InFlight,
            after(5_400, -HOUR),
            vec![withdraw(WithdrawReason::Ended)],
        ),
    ];
    for (what, demand, held, attempt, now, expected) in table {
        assert_eq!(plan(now, &[state(demand, held, attempt)], &POLICY), expected, "{what}");
    }
}

#[test]
fn a_clock_that_stays_wrong_costs_one_renewal_and_no_outage() {
    let clock = ManualClock::new(START);
    let first = held(clock.now());
    clock.step_wall(12 * HOUR);
    let now = clock.now();
    assert!(first.has_ended(now), "local peers see it as ended");
    // The server's clock is right: the new one ends, by ours, in the past.
    let second = HeldCredential::issued(now, TTL, START + TTL, Jitter::NONE, &POLICY);
    assert!(!second.has_ended(now));
    assert_eq!(plan(now, &[state(Demand::Current, Some(second), Attempt::Idle)], &POLICY), []);
    clock.advance(TTL / 2);
    assert_eq!(
        plan(clock.now(), &[state(Demand::Current, Some(second), Attempt::Idle)], &POLICY),
        [renew(RenewReason::HalfLife)]
    );
    clock.advance(TTL / 2);
    assert!(second.has_ended(clock.now()));
}

#[test]
fn suspend_counts_as_time() {
    let clock = ManualClock::new(START);
    let credential = held(clock.now());
    clock.advance(seconds(12 * 3_600));
    assert!(credential.has_ended(clock.now()));
}

#[test]
fn a_credential_kept_over_a_restart_is_measured_by_the_wall_clock() {
    let boot = |wall: i64| Reading {
        wall: Timestamp::from_unix(START.unix() + wall),
        since_boot: seconds(30),
    };
    let restored = |wall| HeldCredential::restored(boot(wall), START, START + TTL, Jitter::NONE);
    assert_eq!(
        (restored(1_000).renew_at(), restored(1_000).ends_at()),
        (seconds(30 + 1_700), seconds(30 + 4_400))
    );
    assert!(restored(5_400).has_ended(boot(5_400)));
    assert_eq!(restored(3_000).renew_at(), seconds(30), "past its half: now");
    let before_issue = restored(-HOUR);
    assert_eq!(
        (before_issue.renew_at(), before_issue.ends_at()),
        (seconds(30), seconds(30) + TTL),
        "a clock that is behind: renewed now, never longer than its life"
    );
}

#[test]
fn retries_wait_longer_each_time_and_never_past_a_tenth_of_the_ttl() {
    let whole = Jitter::new(1.0);
    let delays: Vec<_> = (1..9).map(|failures| retry_delay(failures, TTL, whole).as_secs()).collect();
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(retry_delay(1, seconds(10), whole), Duration::from_millis(500));
    assert_eq!(retry_delay(u32::MAX, seconds(10), whole), seconds(1));
    assert_eq!(retry_delay(4, TTL, Jitter::NONE), seconds(4), "at least half");
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    any::<[u8; 4]>().prop_map(Jitter::from_random)
}

/// A server and an agent on one clock, for one credential.
struct Simulation {
    clock: ManualClock,
    state: CredentialState<u8>,
    renewals: u64,
    failures: u32,
}

impl Simulation {
    fn new() -> Self {
        Self {
            clock: ManualClock::new(START),
            state: state(Demand::Current, None, Attempt::Idle),
            renewals: 0,
            failures: 0,
        }
    }

    /// Performs the plan until it is empty.
    fn perform(&mut self, server_answers: bool, jitter: Jitter) {
        for _ in 0..3 {
            let now = self.clock.now();
            let actions = plan(now, &[self.state], &POLICY);
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    RotationAction::Withdraw { .. } => self.state.held = None,
                    RotationAction::Renew { .. } if server_answers => {
                        self.state.held = Some(HeldCredential::issued(now, TTL, now.wall + TTL, jitter, &POLICY));
                        (self.state.attempt, self.failures) = (Attempt::Idle, 0);
                        self.renewals += 1;
                    }
                    RotationAction::Renew { .. } => {
                        self.failures += 1;
                        self.state.attempt = Attempt::RetryAt(now.since_boot + retry_delay(self.failures, TTL, jitter));
                    }
                }
            }
        }
        panic!("the plan does not come to rest");
    }

    fn sleep_until_due(&mut self, at_most: Duration) {
        let now = self.clock.now();
        let due = next_due(now, &[self.state], &POLICY).expect("a wanted credential is due some day");
        self.clock
            .advance(due.saturating_sub(now.since_boot).min(at_most).max(Duration::from_millis(1)));
    }

    fn serves(&self) -> bool {
        self.state.held.is_some_and(|held| !held.has_ended(self.clock.now()))
    }
}

proptest! {
    #[test]
    fn renewal_is_due_within_a_tenth_before_half_the_ttl_and_never_later(issued in 0_u64..1 << 40, ttl in 1_u64..1 << 32, jitter in any_jitter()) {
        let (issued, ttl) = (Duration::from_millis(issued), Duration::from_millis(ttl));
        let due = renewal_due(issued, ttl, jitter);
        assert!(due <= issued + ttl / 2);
        assert!(due + ttl / 10 + Duration::from_nanos(10) >= issued + ttl / 2);
        assert!(due >= issued);
    }

    #[test]
    fn no_value_makes_it_panic(walls in any::<[i64; 3]>(), boots in any::<[u64; 3]>(), expires_in in any::<u64>(), failures in any::<u32>(), part in any::<f64>()) {
        let at = |wall: i64, boot: u64| Reading { wall: Timestamp::from_unix(wall), since_boot: seconds(boot) };
        let (asked, now) = (at(walls[0], boots[0]), at(walls[1], boots[1]));
        let jitter = Jitter::new(part);
        for held in [
            HeldCredential::issued(asked, seconds(expires_in), Timestamp::from_unix(walls[2]), jitter, &POLICY),
            HeldCredential::restored(asked, Timestamp::from_unix(walls[1]), Timestamp::from_unix(walls[2]), jitter),
        ] {
            for demand in [Demand::Current, Demand::EntryChanged, Demand::EntryGone, Demand::IdentityChanged, Demand::IssuerTainted] {
                let state = state(demand, Some(held), Attempt::RetryAt(seconds(boots[2])));
                let _ = (plan(now, &[state], &POLICY), next_due(now, &[state], &POLICY), held.next_renewal(now));
            }
        }
        assert!(retry_delay(failures, seconds(expires_in), jitter) <= seconds(60));
    }

    #[test]
    fn what_is_due_is_what_is_next_due(elapsed in 0_u64..6_000, retry in proptest::option::of(0_u64..6_000), jitter in any_jitter()) {
        let start = Reading { wall: START, since_boot: Duration::ZERO };
        let held = HeldCredential::issued(start, TTL, START + TTL, jitter, &POLICY);
        let now = Reading { wall: START + seconds(elapsed), since_boot: seconds(elapsed) };
        let state = state(Demand::Current, Some(held), retry.map_or(Attempt::Idle, |at| Attempt::RetryAt(seconds(at))));
        let is_due = next_due(now, &[state], &POLICY).is_some_and(|due| due <= now.since_boot);
        assert_eq!(!plan(now, &[state], &POLICY).is_empty(), is_due);
    }

    #[test]
    fn outages_shorter_than_half_a_life_are_lived_through(outage_at in 0_u64..20_000, length in 0_u64..2_600, jitter in any_jitter()) {
        let mut simulation = Simulation::new();
        let outage = seconds(outage_at.max(1))..seconds(outage_at.max(1) + length);
        while simulation.clock.now().since_boot < seconds(30_000) {
            let answers = !outage.contains(&simulation.clock.now().since_boot);
            simulation.perform(answers, jitter);
            assert!(simulation.serves(), "at {:?}", simulation.clock.now());
            simulation.sleep_until_due(seconds(60));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Issue 3: thirty days on the injected clock, with jumps of hours both ways.
    #[test]
    fn thirty_days_with_jumps_never_leave_it_without_a_valid_credential(
        jumps in proptest::collection::vec((0_u64..30 * 86_400, -12 * HOUR..12 * HOUR), 0..40),
        jitter in any_jitter(),
    ) {
        let mut jumps = jumps;
        jumps.sort_unstable();
        let count = u64::try_from(jumps.len()).unwrap();
        let mut jumps = jumps.into_iter().peekable();
        let mut simulation = Simulation::new();
        while simulation.clock.now().since_boot < seconds(30 * 86_400) {
            while let Some((_, step)) = jumps.next_if(|(at, _)| seconds(*at) <= simulation.clock.now().since_boot) {
                simulation.clock.step_wall(step);
            }
            simulation.perform(true, jitter);
            assert!(simulation.serves());
            let held = simulation.state.held.unwrap();
            assert!(held.renew_at() > simulation.clock.now().since_boot);
            simulation.sleep_until_due(seconds(600));
        }
        // A renewal comes every 40 to 45 minutes, and once for each jump: no storm.
        let regular = 30 * 86_400 / (2_700 - 540);
        assert!(simulation.renewals <= regular + count + 1, "{} renewals", simulation.renewals);
        assert!(simulation.renewals >= 30 * 86_400 / 3_300, "{} renewals", simulation.renewals);
    }
}
