//! What operators order: who gave it and why is on record, and it is carried out.

use trust_domains::TrustDomain;
use trust_domains::plan::authority::{Extent, OursSeen};
use trust_domains::wire::authorities::{ReplaceRequest, StepKind, StepState};

use super::*;
use crate::authority::OrderError;
use crate::decisions::Cause;

fn operator() -> Cause {
    Cause {
        actor: "local:uid:1000".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    }
}

fn request(kind: AuthorityKind, compromised: bool) -> ReplaceRequest {
    ReplaceRequest {
        kind,
        compromised,
        because: "the key was in a backup that was lost".to_owned(),
        dry_run: false,
    }
}

/// A connected node that never acknowledges: a frozen agent.
struct Frozen;

impl BundleWitness for Frozen {
    fn concerned(&self, _now: Timestamp) -> usize {
        3
    }

    fn missing(&self, _counter: u64, _now: Timestamp) -> Missing {
        let mut missing = Missing::default();
        missing.push(&"web-1".parse().unwrap());
        missing
    }

    fn missing_connected(&self, counter: u64, now: Timestamp) -> Missing {
        self.missing(counter, now)
    }

    fn list_out_since(&self, _ca: &AuthorityId) -> Option<u64> {
        None
    }
}

async fn with(world: &World, witness: Arc<dyn BundleWitness>) -> Arc<Authorities> {
    let (store, vault) = (Arc::clone(&world.store), world.authorities.vault());
    let (recorder, clock) = (world.tap.clone(), world.clock.shared());
    Authorities::load(trust_domain(), store, vault, recorder, clock, settings(), witness)
        .await
        .unwrap()
}

fn decided_with(world: &World, action: &str) -> Vec<(String, String)> {
    let taken = world.tap.taken.lock().unwrap();
    let decisions = taken.iter().filter_map(|event| match event {
        AuditEvent::Decided(decision) if decision.action == action => Some((decision.actor.clone(), decision.reason.clone().unwrap_or_default())),
        _ => None,
    });
    decisions.collect()
}

#[tokio::test]
async fn a_stolen_issuing_key_is_worth_nothing_when_the_order_is_reported_done() {
    let world = World::new().await;
    let entry = world.entry(|_| {});
    let (_, stolen) = world.issued(&entry).await;
    let believed = || world.authorities.bundle().borrow().clone();
    trust_domains::x509::verify_svid(&stolen, &believed(), world.now()).unwrap();
    let old = world.authorities.issuing(world.clock.now()).unwrap().id().clone();
    let root = world.authorities.set().root(world.now()).unwrap().id().clone();

    let order = world
        .authorities
        .replace(&request(AuthorityKind::X509Issuing, true), &operator())
        .await
        .unwrap();
    world.authorities.look().await.unwrap();

    let view = world.authorities.replacement_of(&order).unwrap();
    assert!(
        view.finished_at.is_some() && view.steps.iter().all(|step| step.state == StepState::Done),
        "{view:?}"
    );
    assert_eq!((view.compromised, view.replaces), (true, vec![root.clone()]));
    assert!(trust_domains::x509::verify_svid(&stolen, &believed(), world.now()).is_err());
    let (_, fresh) = world.issued(&entry).await;
    trust_domains::x509::verify_svid(&fresh, &believed(), world.now()).unwrap();
    assert_eq!(
        **world.authorities.tainted().borrow(),
        *std::slice::from_ref(&old),
        "agents that come back hear of it"
    );
    let [(actor, reason)] = &decided_with(&world, "replacement_ordered")[..] else {
        panic!("one order")
    };
    assert!(
        actor == "local:uid:1000" && reason.contains("lost") && reason.contains(root.as_str()),
        "{actor}: {reason}"
    );
    for action in ["authority_tainted", "authority_revoked"] {
        let reasons = decided_with(&world, action);
        assert_eq!(reasons.len(), 2, "{action}: the root and its issuing CA");
        assert!(reasons[0].1.contains("lost"), "{reasons:?}");
    }
    let states: Vec<_> = world
        .authorities
        .views(&[])
        .into_iter()
        .filter(|view| [&old, &root].contains(&&view.id))
        .collect();
    assert!(
        states
            .iter()
            .all(|view| view.state == Phase::Revoked && view.because.as_ref().is_some_and(|because| because.contains("lost")))
    );
    assert_eq!(world.authorities.join_roots().len(), 1, "no link names what is not believed");
}

#[tokio::test]
async fn what_will_be_done_is_said_before_and_nothing_is_done() {
    let world = World::new().await;
    let before = world.store.snapshot(Prefix::ALL).await.unwrap();
    let compromised = world.authorities.rehearse(&request(AuthorityKind::X509Issuing, true)).unwrap();
    let planned = world.authorities.rehearse(&request(AuthorityKind::X509Issuing, false)).unwrap();
    assert_eq!(world.store.snapshot(Prefix::ALL).await.unwrap(), before);
    assert_eq!((compromised.id, compromised.ordered_at), (None, None));
    let kinds = |steps: &[trust_domains::wire::authorities::ReplacementStep]| steps.iter().map(|step| step.what).collect::<Vec<_>>();
    assert_eq!(kinds(&planned.steps), [StepKind::Prepare, StepKind::Activate]);
    assert_eq!(compromised.steps.len(), 8);
    assert!(compromised.steps.iter().all(|step| step.state == StepState::Pending && !step.text.is_empty()));
    assert!(
        compromised.steps[0].text.contains("root") && planned.steps[0].text.contains("issuing CA"),
        "it says which of the two it is"
    );
}

#[tokio::test]
async fn a_frozen_agent_delays_an_emergency_by_its_deadlines_and_is_named() {
    let world = World::new().await;
    let authorities = with(&world, Arc::new(Frozen)).await;
    let order = authorities.replace(&request(AuthorityKind::Jwt, true), &operator()).await.unwrap();
    let mut seconds = 0;
    while authorities.set().running().next().is_some() {
        authorities.look().await.unwrap();
        let view = authorities.replacement_of(&order).unwrap();
        let waits: Vec<_> = view.steps.iter().filter(|step| step.waiting_for_count > 0).collect();
        assert!(
            waits.iter().all(|step| step.waiting_for == ["web-1".parse().unwrap()] && step.until.is_some()),
            "{waits:?}"
        );
        world.clock.advance(Duration::from_secs(1));
        seconds += 1;
        assert!(seconds <= 95, "{view:?}");
        authorities.jwt_key(world.clock.now()).unwrap();
    }
    assert!(seconds >= 90, "{seconds} s");
    let view = authorities.replacement_of(&order).unwrap();
    assert!(view.outcome.unwrap().contains("web-1"));
    assert!(
        decided_with(&world, "authority_revoked")[0].1.contains("web-1"),
        "who may still hold it is on record"
    );
}

#[tokio::test]
async fn a_planned_replacement_waits_for_the_nodes_and_an_emergency_takes_its_place() {
    let world = World::new().await;
    let authorities = with(&world, Arc::new(Frozen)).await;
    let planned = authorities.replace(&request(AuthorityKind::X509Root, false), &operator()).await.unwrap();
    authorities.look().await.unwrap();
    let steps = authorities.replacement_of(&planned).unwrap().steps;
    assert_eq!(
        (steps[1].what, steps[1].state, steps[1].waiting_for_count),
        (StepKind::Acknowledge, StepState::Running, 1)
    );
    world.clock.advance(HOUR);
    authorities.look().await.unwrap();
    assert!(authorities.replacement_of(&planned).unwrap().finished_at.is_none(), "a day is not over");

    let again = authorities.replace(&request(AuthorityKind::X509Root, false), &operator()).await.unwrap_err();
    assert_eq!(again.code(), Code::ReplacementRunning);
    assert!(again.to_string().contains(planned.as_str()), "{again}");

    let urgent = authorities.replace(&request(AuthorityKind::X509Issuing, true), &operator()).await.unwrap();
    let ended = authorities.replacement_of(&planned).unwrap();
    assert!(ended.outcome.unwrap().contains(urgent.as_str()) && ended.finished_at.is_some());
    for _ in 0..95 {
        world.clock.advance(Duration::from_secs(1));
        authorities.look().await.unwrap();
    }
    assert!(authorities.replacement_of(&urgent).unwrap().finished_at.is_some());
}

#[tokio::test]
async fn one_is_prepared_and_activated_by_name() {
    let world = World::new().await;
    let signs = |authorities: &Authorities| authorities.jwt_key(world.clock.now()).unwrap().id().clone();
    let before = signs(&world.authorities);
    let made = world
        .authorities
        .prepare(AuthorityKind::Jwt, Some("ahead of the holidays"), &operator())
        .await
        .unwrap();
    let again = world.authorities.prepare(AuthorityKind::Jwt, None, &operator()).await.unwrap();
    assert_eq!(made, again, "one successor is enough");
    for _ in 0..10 {
        world.clock.advance(HOUR);
        world.authorities.look().await.unwrap();
    }
    assert_eq!(signs(&world.authorities), before);
    assert_eq!(world.authorities.view(&made, &[]).unwrap().state, Phase::Prepared, "it is kept until its time");
    world.authorities.activate_ordered(made.as_str(), None, &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    assert_eq!(signs(&world.authorities), made);
    assert_eq!(world.authorities.view(&before, &[]).unwrap().state, Phase::Old);
    let refused = world.authorities.activate_ordered(before.as_str(), None, &operator()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AuthorityState);
    for kind in [AuthorityKind::X509Root, AuthorityKind::X509Issuing] {
        let made = world.authorities.prepare(kind, None, &operator()).await.unwrap();
        world.authorities.activate_ordered(made.as_str(), None, &operator()).await.unwrap();
        world.authorities.look().await.unwrap();
        assert_eq!(world.authorities.view(&made, &[]).unwrap().state, Phase::Active, "{kind}");
        world.authorities.issuing(world.clock.now()).unwrap();
    }
    let wit = world.authorities.prepare(AuthorityKind::Wit, None, &operator()).await.unwrap_err();
    assert_eq!(wit.code(), Code::WitDisabled);
}

#[tokio::test]
async fn who_signs_is_not_revoked_and_an_old_root_may_go_early() {
    let world = World::new().await;
    let root = world.authorities.set().root(world.now()).unwrap().id().clone();
    let refused = world
        .authorities
        .take_away(root.as_str(), Extent::Withdraw, Some("x"), &operator())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::AuthorityInUse);
    assert!(
        refused.hint().contains("troth authority replace --kind x509-root --compromised"),
        "{}",
        refused.hint()
    );
    let unknown = world.authorities.take_away("00", Extent::Taint, None, &operator()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::AuthorityNotFound);
    for because in ["", " ", &"x".repeat(501), "a\nb"] {
        let refused = world
            .authorities
            .take_away(root.as_str(), Extent::Taint, Some(because), &operator())
            .await
            .unwrap_err();
        assert!(matches!(refused, OrderError::Because { .. }), "{because:?}");
    }

    world.authorities.replace(&request(AuthorityKind::X509Root, false), &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    assert_eq!(world.authorities.bundle().borrow().x509_ders().count(), 2, "the old one is still believed");
    let tainted = world.authorities.take_away(root.as_str(), Extent::Taint, None, &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    assert!(world.authorities.replacement_of(&tainted).unwrap().finished_at.is_some());
    assert_eq!(world.authorities.bundle().borrow().x509_ders().count(), 2, "tainted is not withdrawn");
    world.authorities.take_away(root.as_str(), Extent::Withdraw, None, &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    assert_eq!(world.authorities.bundle().borrow().x509_ders().count(), 1);
    assert_eq!(world.authorities.view(&root, &[]).unwrap().state, Phase::Revoked);
}

#[tokio::test]
async fn orders_that_are_done_are_kept_for_a_while_and_no_longer() {
    let world = World::new().await;
    for _ in 0..14 {
        world
            .authorities
            .replace(&request(AuthorityKind::X509Issuing, false), &operator())
            .await
            .unwrap();
        world.authorities.look().await.unwrap();
        world.clock.advance(HOUR);
    }
    let shown = world.authorities.replacements();
    assert_eq!(shown.len(), 10);
    assert!(shown.windows(2).all(|pair| pair[0].ordered_at > pair[1].ordered_at), "the newest first");
}

#[tokio::test]
async fn partners_are_behind_until_they_had_five_refreshes() {
    let world = World::new().await;
    let partners = ["partner.test".parse().unwrap()];
    world.authorities.replace(&request(AuthorityKind::Jwt, true), &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    let behind = |world: &World| {
        let views = world.authorities.views(&partners);
        views
            .iter()
            .filter(|view| view.kind == AuthorityKind::Jwt)
            .map(|view| view.partners_behind.len())
            .sum::<usize>()
    };
    assert_eq!(behind(&world), 2, "the new key, and the withdrawal of the old one");
    world.clock.advance(Duration::from_secs(5 * 300));
    assert_eq!(behind(&world), 0);
}

#[tokio::test]
async fn an_emergency_waits_for_partners_that_show_what_they_hold_by_its_deadline_only_and_names_them() {
    let world = World::new().await;
    let seen = world.authorities.partners_seen();
    let [fast, slow, silent, empty]: [TrustDomain; 4] = ["fast.test", "slow.test", "silent.test", "empty.test"].map(|name| name.parse().unwrap());
    let ours = world.authorities.bundle().borrow().clone();
    for partner in [&fast, &slow] {
        seen.note(partner, OursSeen::new(Some(&ours), world.now()));
    }
    seen.note(&empty, OursSeen::new(None, world.now()));
    let old = world.authorities.set().root(world.now()).unwrap().id().clone();
    let order = world.authorities.replace(&request(AuthorityKind::X509Root, true), &operator()).await.unwrap();
    world.authorities.look().await.unwrap();
    let partners = [fast.clone(), slow.clone(), silent.clone(), empty];
    let behind = |id: &AuthorityId| world.authorities.view(id, &partners).unwrap().partners_behind;
    assert!(
        world.authorities.replacement_of(&order).unwrap().finished_at.is_none(),
        "nobody was seen without it yet"
    );
    assert_eq!(behind(&old), [fast.clone(), silent.clone(), slow.clone()]);

    let newest = world.authorities.bundle().borrow().clone();
    seen.note(&fast, OursSeen::new(Some(&newest), world.now()));
    seen.note(&slow, OursSeen::new(Some(&ours), world.now()));
    world.authorities.look().await.unwrap();
    assert_eq!(world.authorities.replacement_of(&order).unwrap().partners_behind, std::slice::from_ref(&slow));
    assert!(world.authorities.replacement_of(&order).unwrap().finished_at.is_none());
    world.clock.advance(settings().policy.emergency_ack_deadline());
    world.authorities.look().await.unwrap();
    let view = world.authorities.replacement_of(&order).unwrap();
    assert!(view.finished_at.is_some() && view.outcome.is_none(), "{view:?}");
    assert_eq!(view.partners_behind, std::slice::from_ref(&slow));
    let [(_, text)] = &decided_with(&world, "replacement_finished")[..] else {
        panic!("one order")
    };
    assert!(text.contains("1 partner (slow.test) may hold it still"), "{text}");
    // Whoever never follows is named until the root has ended, and holds up nothing.
    assert!(behind(&old).contains(&slow) && !behind(&old).contains(&fast));
    seen.note(&slow, OursSeen::new(Some(&newest), world.now()));
    assert!(!behind(&old).contains(&slow));
}
