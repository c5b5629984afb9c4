//! The year again, with three partner domains that poll rarely: what time changes costs none of them anything, and a compromised authority is ended across
//! all of them.
//!
//! What is driven is the trust domain that is fetched, with real rooms; its partners decide by the plan and the judgement that a server fetches by, over the
//! very documents that its endpoint serves. The connections between them have tests of their own.

use conformance::covers;
use trust_domains::plan::authority::AuthorityKind;

use super::believed::Partners;
use super::partners::{HINT, Habit};
use super::world::{HOUR, World, options};
use super::years::live_in;
use crate::config::RawServerConfig;

/// A server whose bundle is fetched once a day: a key is published five days before it signs, so token keys live a month.
fn fetched() -> RawServerConfig {
    let text = |text: &str| Some(text.to_owned());
    RawServerConfig {
        bundle_listen: text("127.0.0.1:0"),
        bundle_cert: text("/nowhere/cert.pem"),
        bundle_key: text("/nowhere/key.pem"),
        bundle_refresh_hint: text("24h"),
        jwt_key_ttl: text("720h"),
        ..options()
    }
}

async fn live(seed: u64) -> World {
    let world = World::with(10, seed, fetched(), Partners::three()).await;
    let world = live_in(world, 365).await;
    let active: Vec<_> = world.checks.active.iter().map(|(kind, ids)| format!("{} of {kind}", ids.len())).collect();
    let partners: Vec<_> = world.partners.all.iter().map(|partner| (partner.name, partner.fetches)).collect();
    println!(
        "a year with partners: {} steps, active were {}; partners verified {}, refused {} times what was good after a long absence, were deceived {} times before they fetched, \
         for {} h at most where they fetch every day; {:?}; {partners:?}",
        world.checks.steps,
        active.join(", "),
        world.partners.checks.verified,
        world.partners.refusals,
        world.partners.deceptions,
        world.partners.longest_deception.as_secs() / 3_600,
        world.partners.ended()
    );
    world
}

fn assert_eventful(world: &World) {
    let seen = |kind| world.checks.active.get(&kind).map_or(0, std::collections::BTreeSet::len);
    assert!(seen(AuthorityKind::X509Root) >= 4, "the first, one of the emergency, and planned ones");
    assert!(seen(AuthorityKind::X509Issuing) >= 40 && seen(AuthorityKind::Jwt) >= 12);
    let partners = &world.partners;
    // What each knows by fetching it: every signer at least once under each bundle that it held meanwhile.
    assert!(partners.checks.verified > seen(AuthorityKind::X509Issuing) + seen(AuthorityKind::Jwt));
    assert_eq!(
        partners.ended(),
        [(AuthorityKind::X509Issuing, 3), (AuthorityKind::Jwt, 3)],
        "the compromised are ended for every partner"
    );
    assert!(
        partners.deceptions > 0,
        "until they fetched they believed what was stolen: nothing but a fetch ends that"
    );
    assert!(partners.longest_deception <= HINT + HOUR, "{:?}", partners.longest_deception);
    for partner in &partners.all {
        let fetches = partner.fetches;
        assert!(fetches.taken >= 20 && fetches.same > fetches.taken, "{}: {fetches:?}", partner.name);
        match partner.habit {
            Habit::Keeps => assert_eq!(fetches.failed, 0),
            Habit::KeepsThroughFailures => assert!(fetches.replays_refused > 0 && fetches.failed > fetches.replays_refused),
            Habit::StaysAway => assert!(fetches.absences >= 3 && partners.refusals > 0, "{fetches:?}"),
        }
    }
}

#[covers("FED-02", "FED-03", "FED-04", "FED-05")]
#[tokio::test]
async fn in_a_year_no_partner_that_keeps_to_the_hint_refuses_what_is_good_nor_believes_what_was_stolen_after_it_fetched() {
    assert_eventful(&live(1).await);
}

#[tokio::test]
async fn nor_in_a_year_with_partners_that_nobody_has_seen_before() {
    let seed = u64::from_le_bytes(platform::random::array().unwrap());
    println!("seed {seed}");
    assert_eventful(&live(seed).await);
}
