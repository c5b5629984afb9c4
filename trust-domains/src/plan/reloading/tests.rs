//! The plan against programs that fail, sets that never stop coming, and clocks that do not.

use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy::with_lists_interval(DEFAULT_LISTS_INTERVAL);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Steps the plan asks for at a moment.
fn steps(plan: &mut Reloading, now: Duration) -> Vec<Step> {
    std::iter::from_fn(|| plan.next(now)).collect()
}

fn run(hook: usize, set: u64, reason: Reason) -> Step {
    Step::Run { hook, set, reason }
}

#[test]
fn several_sets_in_a_short_time_are_one_reload() {
    let mut plan = Reloading::new(POLICY, 1);
    for at in [0, 50, 120] {
        plan.delivered(ms(at), Change::Credentials);
        assert_eq!(steps(&mut plan, ms(at)), []);
    }
    assert_eq!(plan.look_again(), Some(ms(220)));
    assert_eq!(steps(&mut plan, ms(219)), []);
    assert_eq!(steps(&mut plan, ms(220)), [run(0, 3, Reason::Credentials)]);
    assert_eq!(plan.done(), 0);
    plan.ended(ms(230), 0, true, 0.0);
    assert_eq!((plan.done(), plan.look_again()), (3, None));
}

#[test]
fn a_thousand_sets_in_a_second_are_few_reloads_and_the_last_is_of_the_last_set() {
    let mut plan = Reloading::new(POLICY, 1);
    let mut runs = Vec::new();
    for at in 0..3_000 {
        if at < 1_000 {
            plan.delivered(ms(at), Change::Credentials);
        }
        for step in steps(&mut plan, ms(at)) {
            let Step::Run { set, .. } = step else { panic!("{step:?}") };
            runs.push(set);
            plan.ended(ms(at), 0, true, 0.0);
        }
    }
    assert!(runs.len() <= 2, "{runs:?}");
    assert_eq!(runs.last(), Some(&1_000));
}

#[test]
fn hooks_begin_in_their_order_and_one_that_was_given_up_holds_up_no_other() {
    let mut plan = Reloading::new(POLICY, 2);
    plan.delivered(ms(0), Change::Credentials);
    assert_eq!(steps(&mut plan, ms(100)), [run(0, 1, Reason::Credentials)]);
    plan.ended(ms(200), 0, false, 1.0);
    assert_eq!(steps(&mut plan, ms(699)), []);
    assert_eq!(steps(&mut plan, ms(700)), [run(0, 1, Reason::Retry { failures: 1 })]);
    // It hangs. Nobody else begins until it is given up.
    assert_eq!(steps(&mut plan, ms(30_099)), []);
    let given_up = Step::GiveUp { hook: 0, set: 1 };
    assert_eq!(steps(&mut plan, ms(30_100)), [given_up, run(1, 1, Reason::Credentials)]);
    assert!(plan.is_given_up(0));
    plan.ended(ms(30_200), 1, true, 0.0);
    assert_eq!(plan.done(), 1);
    // It goes on trying, and what comes then is given up with the first failure.
    plan.ended(ms(31_000), 0, false, 0.0);
    plan.delivered(ms(31_000), Change::Credentials);
    assert_eq!(steps(&mut plan, ms(31_100)), [run(0, 2, Reason::Credentials)]);
    plan.ended(ms(31_200), 0, false, 0.0);
    assert_eq!(steps(&mut plan, ms(31_200)), [run(1, 2, Reason::Credentials)]);
    plan.ended(ms(31_300), 1, true, 0.0);
    assert_eq!(plan.done(), 2);
    let retry = plan.retry_at(0).unwrap();
    assert_eq!(steps(&mut plan, retry), [run(0, 2, Reason::Retry { failures: 3 })]);
    plan.ended(retry, 0, true, 0.0);
    assert!(!plan.is_given_up(0));
    assert_eq!((plan.failures(0), plan.look_again()), (0, None));
}

#[test]
fn a_newer_set_does_not_wait_for_the_retry_of_an_older_one() {
    let mut plan = Reloading::new(POLICY, 1);
    plan.delivered(ms(0), Change::Credentials);
    let mut now = ms(100);
    while plan.failures(0) < 10 {
        assert!(!steps(&mut plan, now).is_empty());
        plan.ended(now, 0, false, 1.0);
        now = plan.retry_at(0).unwrap();
    }
    let soon_after = now.saturating_sub(POLICY.longest_retry) + ms(1);
    plan.delivered(soon_after, Change::Credentials);
    let step = steps(&mut plan, soon_after + POLICY.settle).pop();
    assert_eq!(step, Some(run(0, 2, Reason::Credentials)));
}

#[test]
fn lists_alone_reload_once_in_their_interval_and_credentials_take_them_along() {
    let mut plan = Reloading::new(POLICY, 1);
    plan.delivered(ms(0), Change::Lists);
    assert_eq!(steps(&mut plan, ms(100)), [run(0, 1, Reason::Lists)]);
    plan.ended(ms(110), 0, true, 0.0);
    plan.delivered(ms(200), Change::Lists);
    assert_eq!(steps(&mut plan, ms(300)), []);
    // Nobody waits for lists whose turn has not come.
    assert_eq!((plan.done(), plan.look_again()), (2, Some(ms(60_100))));
    plan.delivered(ms(400), Change::Credentials);
    assert_eq!(plan.done(), 1);
    assert_eq!(steps(&mut plan, ms(500)), [run(0, 3, Reason::Credentials)]);
    plan.ended(ms(510), 0, true, 0.0);
    plan.delivered(ms(600), Change::Lists);
    assert_eq!(steps(&mut plan, ms(60_099)), []);
    assert_eq!(steps(&mut plan, ms(60_100)), [run(0, 4, Reason::Lists)]);
    plan.ended(ms(60_200), 0, false, 0.0);
    assert_eq!(steps(&mut plan, ms(60_450)), [run(0, 4, Reason::Retry { failures: 1 })]);
}

#[test]
fn what_is_withdrawn_is_not_reloaded_and_nobody_waits_for_it() {
    let mut plan = Reloading::new(POLICY, 2);
    plan.delivered(ms(0), Change::Credentials);
    assert_eq!(steps(&mut plan, ms(100)).len(), 1);
    plan.withdrawn();
    assert_eq!(plan.done(), 1);
    plan.ended(ms(200), 0, false, 0.0);
    assert_eq!((steps(&mut plan, ms(100_000)), plan.look_again()), (vec![], None));
    plan.delivered(ms(100_000), Change::Credentials);
    assert_eq!(steps(&mut plan, ms(100_100)), [run(0, 2, Reason::Credentials)]);
}

#[test]
fn without_hooks_a_set_is_done_at_once() {
    let mut plan = Reloading::new(POLICY, 0);
    assert_eq!(plan.delivered(ms(0), Change::Credentials), 1);
    assert_eq!((plan.done(), steps(&mut plan, ms(1_000))), (1, vec![]));
}

/// What happens next in a world of chance.
#[derive(Debug, Clone)]
enum Event {
    Deliver(Change),
    End { hook: usize, succeeds: bool, chance: f64 },
    Pass(u64),
    Withdraw,
}

fn event(hooks: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop_oneof![Just(Change::Credentials), Just(Change::Lists)].prop_map(Event::Deliver),
        4 => (0..hooks, any::<bool>(), -1.0_f64..2.0).prop_map(|(hook, succeeds, chance)| Event::End { hook, succeeds, chance }),
        4 => prop_oneof![0_u64..300, 0_u64..100_000].prop_map(Event::Pass),
        1 => Just(Event::Withdraw),
    ]
}

/// A plan, and what a world that obeys it looks like.
struct World {
    plan: Reloading,
    now: Duration,
    newest: u64,
    running: Vec<Option<u64>>,
    /// The newest set that the last successful run of each hook began with; `None` of the last is no set.
    seen: Vec<u64>,
    lists_runs: Vec<Vec<Duration>>,
}

impl World {
    fn new(hooks: usize) -> Self {
        Self {
            plan: Reloading::new(POLICY, hooks),
            now: Duration::ZERO,
            newest: 0,
            running: vec![None; hooks],
            seen: vec![0; hooks],
            lists_runs: vec![Vec::new(); hooks],
        }
    }

    /// Does what the plan says, and checks that it may say so.
    fn obey(&mut self) {
        for step in steps(&mut self.plan, self.now) {
            let Step::Run { hook, set, reason } = step else { continue };
            assert_eq!(self.running[hook], None, "one hook runs twice at once");
            assert!(set <= self.newest && set > self.seen[hook]);
            self.running[hook] = Some(set);
            if reason == Reason::Lists {
                self.lists_runs[hook].push(self.now);
            }
        }
        assert!(self.plan.done() <= self.newest);
    }

    fn end(&mut self, hook: usize, succeeds: bool, chance: f64) {
        let Some(set) = self.running[hook].take() else { return };
        self.plan.ended(self.now, hook, succeeds, chance);
        if succeeds {
            self.seen[hook] = self.seen[hook].max(set);
        }
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Deliver(change) => self.newest = self.plan.delivered(self.now, change),
            Event::End { hook, succeeds, chance } => self.end(hook, succeeds, chance),
            Event::Pass(millis) => self.now += ms(millis),
            Event::Withdraw => {
                self.plan.withdrawn();
                self.seen.fill(self.newest);
            }
        }
        self.obey();
    }

    /// From here on every run succeeds at once. Returns how long it took until nothing was left to do.
    fn calm_down(&mut self) -> Duration {
        let began = self.now;
        for _ in 0..1_000 {
            self.obey();
            for hook in 0..self.running.len() {
                self.end(hook, true, 0.5);
            }
            self.obey();
            if self.running.iter().any(Option::is_some) {
                continue;
            }
            match self.plan.look_again() {
                Some(at) => self.now = self.now.max(at),
                None => return self.now - began,
            }
        }
        panic!("it never comes to rest");
    }
}

proptest! {
    #[test]
    fn after_any_failures_the_last_successful_run_of_each_hook_is_with_the_newest_set(events in prop::collection::vec(event(3), 0..200)) {
        let mut world = World::new(3);
        for event in &events {
            world.apply(event);
        }
        let took = world.calm_down();
        prop_assert!(world.seen.iter().all(|seen| *seen == world.newest), "{:?} of {}", world.seen, world.newest);
        prop_assert_eq!(world.plan.done(), world.newest);
        // The longest wait of each kind, for each hook in its turn.
        let longest = (POLICY.longest_retry + POLICY.lists_interval + POLICY.longest_settle) * 3;
        prop_assert!(took <= longest, "{:?}", took);
    }

    #[test]
    fn lists_alone_never_reload_twice_within_their_interval_unless_the_run_failed(events in prop::collection::vec(event(2), 0..200)) {
        let mut world = World::new(2);
        for event in &events {
            let succeeding = match event {
                Event::End { hook, chance, .. } => Event::End { hook: *hook, succeeds: true, chance: *chance },
                other => other.clone(),
            };
            world.apply(&succeeding);
        }
        for runs in &world.lists_runs {
            prop_assert!(runs.windows(2).all(|pair| pair[1] - pair[0] >= POLICY.lists_interval), "{:?}", runs);
        }
    }

    #[test]
    fn changes_without_end_starve_nothing(every in 1_u64..2_000, takes in 0_u64..3_000) {
        let mut world = World::new(2);
        let mut ends = [None::<Duration>; 2];
        for at in (0..60_000).step_by(usize::try_from(every).unwrap()) {
            world.now = ms(at);
            world.newest = world.plan.delivered(world.now, Change::Credentials);
            for (hook, end) in ends.iter_mut().enumerate() {
                if end.is_some_and(|end| end <= world.now) {
                    *end = None;
                    world.end(hook, true, 0.0);
                }
            }
            world.obey();
            for (hook, end) in ends.iter_mut().enumerate() {
                if world.running[hook].is_some() && end.is_none() {
                    *end = Some(world.now + ms(takes));
                }
            }
        }
        prop_assert!(world.seen.iter().all(|seen| *seen > 0), "{:?}", world.seen);
    }

    #[test]
    fn a_wild_clock_harms_nothing(events in prop::collection::vec((event(2), any::<u64>()), 0..100)) {
        let mut world = World::new(2);
        for (event, moment) in &events {
            world.now = Duration::from_millis(*moment);
            world.apply(event);
        }
        world.now = Duration::ZERO;
        let took = world.calm_down();
        prop_assert!(world.seen.iter().all(|seen| *seen == world.newest));
        prop_assert!(took <= (POLICY.longest_retry + POLICY.lists_interval + POLICY.longest_settle) * 2, "{:?}", took);
    }
}
