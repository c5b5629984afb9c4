use proptest::prelude::*;

use super::*;

const WALL: i64 = 1_795_338_000;
const TERM: i32 = 15;
const HUP: i32 = 1;
const FAR: i64 = 1_000_000;

fn at(seconds: u64) -> Reading {
    Reading {
        wall: Timestamp::from_unix(WALL + i64::try_from(seconds).unwrap()),
        since_boot: Duration::from_secs(seconds),
    }
}

fn policy(on_rotation: OnRotation, on_expiry: OnExpiry) -> Policy {
    Policy {
        wait_for: Duration::from_secs(60),
        on_rotation,
        grace: Duration::from_secs(10),
        on_expiry,
    }
}

fn delivered(life: i64) -> Event {
    changed(life, Change::Credentials)
}

fn changed(life: i64, change: Change) -> Event {
    Event::Delivered {
        not_after: Timestamp::from_unix(WALL + life),
        change,
    }
}

fn running(on_rotation: OnRotation, on_expiry: OnExpiry, life: i64) -> Supervised {
    let mut supervised = Supervised::new(policy(on_rotation, on_expiry), at(0));
    assert_eq!(supervised.take(at(1), delivered(life)), [Action::Start]);
    supervised
}

const TOLD_TO_END: Event = Event::Signalled { signal: TERM, ends: true };

#[test]
fn without_credentials_in_time_or_after_a_signal_the_program_never_starts() {
    let mut late = Supervised::new(policy(OnRotation::Nothing, OnExpiry::Keep), at(0));
    assert_eq!(late.take(at(59), Event::Tick), []);
    assert_eq!(late.quiet_for(at(59), Duration::from_secs(10)), Duration::from_secs(1));
    assert_eq!(late.take(at(60), Event::Tick), [Action::Leave(Outcome::NeverReady)]);
    assert_eq!(late.take(at(61), delivered(FAR)), []);

    let mut interrupted = Supervised::new(policy(OnRotation::Nothing, OnExpiry::Keep), at(0));
    assert_eq!(interrupted.take(at(1), Event::Signalled { signal: HUP, ends: false }), []);
    assert_eq!(interrupted.take(at(2), TOLD_TO_END), [Action::Leave(Outcome::Interrupted(TERM))]);
}

#[test]
fn a_new_start_kills_what_does_not_end_in_the_grace() {
    let mut supervised = running(OnRotation::Restart, OnExpiry::Keep, FAR);
    assert_eq!(supervised.take(at(5), delivered(FAR)), [Action::AskToEnd(Because::Rotated)]);
    assert_eq!(supervised.take(at(6), delivered(FAR)), [], "the start to come reads the newest");
    assert_eq!(supervised.take(at(15), Event::Tick), [Action::Kill]);
    assert_eq!(supervised.take(at(16), Event::Tick), [], "once");
    assert_eq!(supervised.take(at(17), Event::Ended(Exit::Signal(9))), [Action::Start]);
    assert_eq!(
        supervised.take(at(18), Event::Ended(Exit::Code(3))),
        [Action::Leave(Outcome::Program(Exit::Code(3)))]
    );
}

#[test]
fn a_command_is_asked_for_at_new_credentials_and_lists_while_the_program_runs_and_not_at_tokens() {
    let mut supervised = running(OnRotation::Command, OnExpiry::Stop, 100);
    assert_eq!(supervised.take(at(2), changed(100, Change::Tokens)), []);
    assert_eq!(supervised.take(at(3), changed(100, Change::Lists)), [Action::RunCommand(Change::Lists)]);
    assert_eq!(supervised.take(at(4), changed(100, Change::Lists)), [Action::RunCommand(Change::Lists)]);
    assert_eq!(supervised.take(at(5), delivered(100)), [Action::RunCommand(Change::Credentials)]);
    assert_eq!(supervised.take(at(100), Event::Tick), [Action::AskToEnd(Because::CredentialsEnded)]);
    assert_eq!(supervised.take(at(101), delivered(FAR)), [], "it is being ended");
}

#[test]
fn a_program_that_is_leaving_is_not_started_anew() {
    let mut supervised = running(OnRotation::Restart, OnExpiry::Keep, FAR);
    assert_eq!(supervised.take(at(5), TOLD_TO_END), [Action::Forward(TERM)]);
    assert_eq!(supervised.take(at(6), delivered(FAR)), []);
    let mut restarting = running(OnRotation::Restart, OnExpiry::Keep, FAR);
    assert_eq!(restarting.take(at(5), delivered(FAR)), [Action::AskToEnd(Because::Rotated)]);
    assert_eq!(restarting.take(at(6), TOLD_TO_END), [Action::Forward(TERM)]);
    assert_eq!(
        restarting.take(at(7), Event::Ended(Exit::Code(0))),
        [Action::Leave(Outcome::Program(Exit::Code(0)))]
    );
}

#[test]
fn at_the_end_of_its_credentials_a_program_is_kept_or_ended() {
    let mut kept = running(OnRotation::Nothing, OnExpiry::Keep, 10);
    assert_eq!(kept.quiet_for(at(8), Duration::from_secs(10)), Duration::from_secs(2));
    assert_eq!(kept.take(at(10), Event::Tick), [Action::SayEnded]);
    assert_eq!(kept.take(at(11), Event::Tick), [], "said once");
    assert_eq!(kept.take(at(12), delivered(20)), []);
    assert_eq!(kept.take(at(20), Event::Tick), [Action::SayEnded], "and once for the next ones");

    let mut stopped = running(OnRotation::Signal(HUP), OnExpiry::Stop, 10);
    assert_eq!(stopped.take(at(10), Event::Tick), [Action::AskToEnd(Because::CredentialsEnded)]);
    assert_eq!(stopped.take(at(11), delivered(FAR)), [], "too late");
    assert_eq!(stopped.take(at(12), Event::Ended(Exit::Code(0))), [Action::Leave(Outcome::CredentialsEnded)]);
}

#[test]
fn revocation_lists_alone_are_told_once_a_minute_and_by_a_signal_only() {
    let mut told = running(OnRotation::Signal(HUP), OnExpiry::Keep, FAR);
    for second in 2..60 {
        assert_eq!(told.take(at(second), changed(FAR, Change::Lists)), []);
    }
    assert_eq!(told.take(at(61), Event::Tick), [Action::Reload(HUP)]);
    assert_eq!(told.take(at(200), changed(FAR, Change::Tokens)), [], "tokens are read at each use");
    let mut restarted = running(OnRotation::Restart, OnExpiry::Keep, FAR);
    assert_eq!(restarted.take(at(200), changed(FAR, Change::Lists)), []);
}

#[test]
fn codes_are_those_of_shells() {
    assert_eq!(Exit::Code(3).code(), 3);
    assert_eq!(Exit::Signal(TERM).code(), 143);
    assert_eq!(Exit::Signal(64).code(), 192);
}

fn events() -> impl Strategy<Value = Event> {
    let change = prop_oneof![Just(Change::Credentials), Just(Change::Lists), Just(Change::Tokens)];
    prop_oneof![
        3 => (0..600_i64, change).prop_map(|(life, change)| changed(life, change)),
        1 => any::<u8>().prop_map(|code| Event::Ended(Exit::Code(code))),
        1 => any::<bool>().prop_map(|ends| Event::Signalled { signal: TERM, ends }),
        3 => Just(Event::Tick),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let (command, nothing) = (Just(OnRotation::Command), Just(OnRotation::Nothing));
    let on_rotation = prop_oneof![command, nothing, Just(OnRotation::Restart), Just(OnRotation::Signal(HUP))];
    let on_expiry = prop_oneof![Just(OnExpiry::Keep), Just(OnExpiry::Stop)];
    (on_rotation, on_expiry).prop_map(|(on_rotation, on_expiry)| policy(on_rotation, on_expiry))
}

proptest! {
    /// Whatever happens in whatever order: one program at a time, nothing done to one that is not there, nothing after the end, and every signal that comes
    /// while a program runs reaches it.
    #[test]
    fn there_is_one_program_at_most_and_nothing_after_the_end(policy in policies(), steps in prop::collection::vec((0..30_u64, events()), 0..60)) {
        let mut supervised = Supervised::new(policy.clone(), at(0));
        let (mut now, mut runs, mut is_over, mut has_credentials, mut asked_at) = (0, false, false, false, None);
        for (wait, event) in steps {
            now += wait;
            // The program cannot end when there is none.
            let ends = matches!(event, Event::Ended(_));
            if ends && !runs {
                continue;
            }
            runs &= !ends;
            has_credentials |= matches!(event, Event::Delivered { .. });
            let ran = runs;
            let actions = supervised.take(at(now), event);
            prop_assert!(!is_over || actions.is_empty());
            if let Event::Signalled { signal, .. } = event {
                prop_assert_eq!(actions.contains(&Action::Forward(signal)), ran && !is_over);
            }
            for action in actions {
                match action {
                    Action::Start => {
                        prop_assert!(!runs && has_credentials);
                        (runs, asked_at) = (true, None);
                    }
                    Action::Leave(_) => {
                        prop_assert!(!runs);
                        is_over = true;
                    }
                    Action::AskToEnd(_) => {
                        prop_assert!(runs && asked_at.is_none());
                        asked_at = Some(now);
                    }
                    Action::Kill => prop_assert!(runs && asked_at.is_some_and(|asked| now >= asked + policy.grace.as_secs())),
                    Action::Forward(_) | Action::Reload(_) | Action::SayEnded => prop_assert!(runs),
                    Action::RunCommand(_) => prop_assert!(runs && asked_at.is_none() && policy.on_rotation == OnRotation::Command),
                }
            }
            let quiet = supervised.quiet_for(at(now), Duration::from_secs(10));
            prop_assert!(quiet <= Duration::from_secs(10));
            // What is due is done at once: the same moment again has nothing more.
            prop_assert!(supervised.take(at(now), Event::Tick).is_empty());
        }
    }
}
