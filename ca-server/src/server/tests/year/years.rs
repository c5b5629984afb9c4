//! The year itself: what happens when, and what must have happened in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use trust_domains::plan::authority::AuthorityKind;

use super::agent::Whereabouts;
use super::world::{DAY, HOUR, MINUTE, World};

/// The shortest step while nothing special happens: every credential of the slow class is due for half of its life, and can wait that long.
const CALM: Duration = Duration::from_secs(60 * 60);

/// The longest step: authorities are looked after several times a day.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);

/// How long the steps of an emergency are.
const URGENT: Duration = Duration::from_secs(2);

/// How many steps an emergency may take: each of its waits ends after 30 s at the latest, and a start of the server in between after 15 more.
const MOST_URGENT_STEPS: usize = 200;

/// When something happens next, since boot.
struct Calendar {
    restart: Duration,
    departure: Duration,
    freezing: Duration,
    fast_job: Duration,
    medium_job: Duration,
    housekeeping: Duration,
    issuing_emergency: Option<Duration>,
    jwt_emergency: Option<Duration>,
}

/// Lives through some days, with two emergencies, and returns the world as it is then.
async fn live(agents: usize, days: u32, seed: u64) -> World {
    live_in(World::new(agents, seed).await, days).await
}

/// The same in a world that is there.
pub(super) async fn live_in(mut world: World, days: u32) -> World {
    let end = world.since_boot() + DAY * days;
    let mut calendar = Calendar {
        restart: DAY,
        departure: HOUR,
        freezing: DAY * 3,
        fast_job: DAY * 2,
        medium_job: DAY * 4,
        housekeeping: DAY,
        issuing_emergency: Some(world.chance.between(DAY * (days / 4), DAY * (days * 2 / 5))),
        jwt_emergency: Some(world.chance.between(DAY * (days * 3 / 5), DAY * (days * 4 / 5))),
    };
    while world.since_boot() < end {
        let pause = world.pause(CALM, LONGEST);
        world.advance(pause);
        happen(&mut world, &mut calendar).await;
        world.step().await;
    }
    world
}

/// Lets happen what the calendar has for this moment.
async fn happen(world: &mut World, calendar: &mut Calendar) {
    let now = world.since_boot();
    if calendar.restart <= now {
        calendar.restart = now + world.chance.between(DAY * 2, DAY * 10);
        if world.chance.one_in(2) {
            world.crash_soon();
        } else {
            let away = world.chance.between(Duration::ZERO, MINUTE * 20);
            world.restart(away).await;
        }
    }
    if calendar.departure <= now {
        calendar.departure = now + world.chance.between(HOUR, HOUR * 8);
        match world.chance.below(10) {
            0 => world.depart(Whereabouts::Away, DAY * 4, DAY * 20),
            1 | 2 => world.depart(Whereabouts::Away, DAY, DAY * 4),
            _ => world.depart(Whereabouts::Away, HOUR, HOUR * 20),
        }
    }
    if calendar.freezing <= now {
        calendar.freezing = now + world.chance.between(DAY * 3, DAY * 12);
        world.depart(Whereabouts::Frozen, HOUR, HOUR * 20);
    }
    if calendar.fast_job <= now {
        calendar.fast_job = now + world.chance.between(DAY * 5, DAY * 12);
        world.run_job("fast", 3, MINUTE * 15, MINUTE).await;
    }
    if calendar.medium_job <= now {
        calendar.medium_job = now + world.chance.between(DAY * 10, DAY * 20);
        world.run_job("medium", 3, HOUR * 12, MINUTE * 15).await;
    }
    if calendar.housekeeping <= now {
        calendar.housekeeping = now + DAY;
        world.keep_house().await;
    }
    for (when, kind) in [
        (&mut calendar.issuing_emergency, AuthorityKind::X509Issuing),
        (&mut calendar.jwt_emergency, AuthorityKind::Jwt),
    ] {
        if when.take_if(|when| *when <= now).is_some() {
            emergency(world, kind).await;
        }
    }
}

/// An operator orders an emergency, with somebody frozen, somebody away, and a server that ends in the midst of it.
async fn emergency(world: &mut World, kind: AuthorityKind) {
    world.step().await;
    world.depart(Whereabouts::Frozen, HOUR, HOUR * 20);
    world.depart(Whereabouts::Away, HOUR, HOUR * 20);
    world.begin_emergency();
    world.run_job("fast", 3, MINUTE * 15, MINUTE).await;
    world.turn().await;
    world.steal(kind);
    while !world.server().is_replacing() && !world.server().replace_compromised(kind).await {
        // The server ended just then: the operator looks, and asks again if it was not stored.
        world.turn().await;
    }
    world.crash_soon();
    for step in 0.. {
        assert!(
            step < MOST_URGENT_STEPS,
            "the emergency does not end: {:?}",
            world.server().rooms.authorities.replacements()
        );
        world.step().await;
        if !world.server().is_replacing() {
            world.settle_emergency();
            break;
        }
        world.advance(URGENT);
    }
}

/// Says what a run was, for whoever reads the output.
fn tell(world: &World, what: &str) {
    let (checks, seen) = (&world.checks, |kind| world.checks.active.get(&kind).map_or(0, BTreeSet::len));
    println!(
        "{what}: {} steps, {} verifications beside one for each of {:?}; {} roots, {} issuing CAs and {} JWT keys were active; \
         at most {} roots ({} octets) and {} JWT keys in a bundle, {} authorities at once; {:?}",
        checks.steps,
        checks.verified,
        world.counts(),
        seen(AuthorityKind::X509Root),
        seen(AuthorityKind::X509Issuing),
        seen(AuthorityKind::Jwt),
        checks.most_roots,
        checks.longest_bundle,
        checks.most_jwt_keys,
        checks.most_authorities,
        world.events
    );
}

fn assert_eventful(world: &World, days: u32) {
    let seen = |kind| world.checks.active.get(&kind).map_or(0, BTreeSet::len);
    // The first root, one of the emergency, and the planned ones.
    assert!(seen(AuthorityKind::X509Root) >= 2 + usize::try_from(days / 180).unwrap());
    assert!(seen(AuthorityKind::X509Issuing) >= usize::try_from(days / 8).unwrap());
    assert!(seen(AuthorityKind::Jwt) >= usize::try_from(days / 12).unwrap());
    let (events, counts) = (world.events, world.counts());
    assert!(events.crashes >= 3 && events.restarts > events.crashes + 5, "{events:?}");
    assert!(counts.renewals_after_expiry > 0 && counts.rejoined > world.agents.len(), "{counts:?}");
}

/// Run by hand, for hours: see tests/soak.
#[tokio::test]
#[ignore = "takes long: tests/soak/years"]
async fn over_many_years_it_is_the_same() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (years, seeds) = (number("TROTH_SOAK_YEARS").unwrap_or(3), number("TROTH_SOAK_SEEDS").unwrap_or(3));
    for _ in 0..seeds {
        let seed = u64::from_le_bytes(platform::random::array().unwrap());
        println!("seed {seed}");
        let days = 365 * years;
        let world = live(50, days, seed).await;
        tell(&world, &format!("{years} years"));
        assert_eventful(&world, days);
    }
}

#[tokio::test]
async fn in_a_year_no_workload_is_ever_without_an_svid_that_every_other_one_accepts() {
    let world = live(50, 365, 1).await;
    tell(&world, "a year");
    assert_eventful(&world, 365);
}

#[tokio::test]
async fn nor_in_a_year_that_nobody_has_seen_before() {
    let seed = u64::from_le_bytes(platform::random::array().unwrap());
    println!("seed {seed}");
    let world = live(10, 365, seed).await;
    tell(&world, "another year");
    assert_eventful(&world, 365);
}
