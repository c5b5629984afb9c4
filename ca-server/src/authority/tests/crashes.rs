//! A crash at every write of every transition: what is stored then is a state from which the plan goes on, and the bundle never lost what still vouches.

use trust_domains::wire::authorities::ReplaceRequest;

use super::*;
use crate::decisions::Cause;

/// More commits than any transition takes.
const MOST_COMMITS: usize = 40;

fn operator() -> Cause {
    Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: String::new(),
    }
}

fn request(kind: AuthorityKind, compromised: bool) -> ReplaceRequest {
    ReplaceRequest {
        kind,
        compromised,
        because: "a drill".to_owned(),
        dry_run: false,
    }
}

/// Whatever is not ended and not on its way out must be believed, and somebody signs.
fn judge(authorities: &Authorities, now: Timestamp, what: &str) {
    let (set, bundle) = (authorities.set(), authorities.bundle().borrow().clone());
    let ders: Vec<_> = bundle.x509_ders().map(|der| der.to_vec()).collect();
    for held in set
        .held()
        .filter(|held| now < held.not_after() && matches!(held.phase(), Phase::Active | Phase::Old | Phase::Tainted))
    {
        match held.kind() {
            AuthorityKind::X509Issuing => {
                let root = held
                    .ca()
                    .and_then(|(record, _)| set.find(record.root.as_ref()?))
                    .unwrap_or_else(|| panic!("{what}: {held:?} has no root"));
                let (_, issuer) = root.ca().unwrap();
                assert!(
                    ders.contains(&issuer.certificate().to_vec()),
                    "{what}: the root of {} is not believed",
                    held.id()
                );
            }
            AuthorityKind::X509Root => assert!(ders.contains(&held.ca().unwrap().1.certificate().to_vec()), "{what}"),
            AuthorityKind::Jwt => assert!(bundle.jwt_authorities().contains(held.token().unwrap().1.jwk()), "{what}"),
            AuthorityKind::Wit => {}
        }
    }
    assert!(
        set.signing(now).is_some() && set.token_key(AuthorityKind::Jwt, now).is_some(),
        "{what}: nobody signs"
    );
    for kind in [AuthorityKind::X509Root, AuthorityKind::X509Issuing, AuthorityKind::Jwt] {
        let active = set.held().filter(|held| held.kind() == kind && held.phase() == Phase::Active).count();
        assert_eq!(active, 1, "{what}: {kind}");
    }
}

/// Goes on with a store that fails at a commit; returns whether it came to that. Then the process is another one.
async fn crashes_at(world: &World, failing: usize, loses_the_answer: bool, order: Option<&ReplaceRequest>) -> bool {
    let flaky = Arc::new(Flaky {
        store: Arc::clone(&world.store),
        until_failure: AtomicUsize::new(failing),
        loses_the_answer,
    });
    let authorities = load(world, flaky.clone()).await.unwrap();
    if let Some(order) = order {
        let _ = authorities.replace(order, &operator()).await;
    }
    let _ = authorities.look().await;
    flaky.until_failure.load(Ordering::SeqCst) > MOST_COMMITS
}

#[tokio::test]
async fn a_crash_at_any_write_of_a_replacement_is_made_good_by_the_next_start() {
    for (kind, compromised) in [
        (AuthorityKind::X509Issuing, false),
        (AuthorityKind::X509Issuing, true),
        (AuthorityKind::X509Root, false),
        (AuthorityKind::X509Root, true),
        (AuthorityKind::Jwt, false),
        (AuthorityKind::Jwt, true),
    ] {
        let world = World::new().await;
        let request = request(kind, compromised);
        let mut sequence = world.authorities.bundle().borrow().sequence();
        for loses_the_answer in [false, true] {
            for failing in 0.. {
                assert!(failing < MOST_COMMITS, "it never comes to its end");
                let what = format!("{kind}, compromised: {compromised}, commit {failing}, answer lost: {loses_the_answer}");
                let crashed = crashes_at(&world, failing, loses_the_answer, Some(&request)).await;
                let after = load(&world, Arc::clone(&world.store)).await.unwrap();
                judge(&after, world.now(), &what);
                after.look().await.unwrap();
                judge(&after, world.now(), &what);
                assert_eq!(after.set().running().count(), 0, "{what}: the order is carried out");
                let of_kind = after
                    .states(world.now())
                    .iter()
                    .filter(|state| state.kind == kind && state.phase == Phase::Prepared)
                    .count();
                assert_eq!(of_kind, 0, "{what}: nothing piles up");
                let next = after.bundle().borrow().sequence();
                assert!(next >= sequence, "{what}: BUN-03");
                sequence = next;
                if !crashed {
                    break;
                }
            }
        }
        let believed = world.store.snapshot(Prefix::AUTHORITIES).await.unwrap().items.len();
        let after = load(&world, Arc::clone(&world.store)).await.unwrap();
        let bundle = after.bundle().borrow().clone();
        if compromised {
            assert!(
                bundle.x509_ders().count() + bundle.jwt_authorities().len() == 2,
                "one root and one JWT key of {believed} authorities"
            );
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_write_of_the_planned_life_is_made_good_by_the_next_start() {
    let world = World::new().await;
    let started = async || {
        let authorities = load(&world, Arc::clone(&world.store)).await.unwrap();
        // To a process that starts a day after the last one, the clock jumped.
        authorities.accept_clock(None, &operator()).await.unwrap();
        authorities
    };
    let mut roots = std::collections::BTreeSet::new();
    world.clock.advance(HOUR * 24 * 280);
    started().await.look().await.unwrap();
    // The change of roots, and the end of the first: a crash every day, at another write each time, with and without the answer.
    for day in 280..340_usize {
        world.clock.advance(HOUR * 24);
        drop(started().await);
        crashes_at(&world, day % 5, day % 2 == 0, None).await;
        let after = started().await;
        judge(&after, world.now(), &format!("day {day}"));
        after.look().await.unwrap();
        judge(&after, world.now(), &format!("day {day}"));
        assert!(after.states(world.now()).len() <= 14, "day {day}: nothing piles up");
        roots.insert(after.set().root(world.now()).unwrap().id().clone());
    }
    assert_eq!(roots.len(), 2);
    assert_eq!(started().await.bundle().borrow().x509_ders().count(), 1, "the first is gone");
}
