//! Two authority rooms over one store, as two replicas will be.

use super::*;

#[tokio::test]
async fn two_rooms_over_one_store_share_what_there_is_and_make_nothing_twice() {
    let world = World::new().await;
    let one = load(&world, Arc::clone(&world.store)).await.unwrap();
    let other = load(&world, Arc::clone(&world.store)).await.unwrap();
    let mut roots = std::collections::BTreeSet::new();
    world.clock.advance(HOUR * 24 * 280);
    // The change of roots is from 74 to 44 days before the end of the first.
    for day in 280..345 {
        world.clock.advance(HOUR * 24);
        let (first, second) = tokio::join!(one.look(), other.look());
        first.unwrap();
        second.unwrap();
        let (first, second) = tokio::join!(one.look(), other.look());
        first.unwrap();
        second.unwrap();
        let states = one.states(world.now());
        assert_eq!(states, other.states(world.now()), "day {day}");
        for kind in [AuthorityKind::X509Root, AuthorityKind::X509Issuing, AuthorityKind::Jwt] {
            let count = |phase| states.iter().filter(|state| state.kind == kind && state.phase == phase).count();
            assert_eq!(count(Phase::Active), 1, "day {day}: {kind}");
            assert!(count(Phase::Prepared) <= 1, "day {day}: {kind}");
        }
        let bundle = one.bundle().borrow().clone();
        assert_eq!(bundle, *other.bundle().borrow(), "day {day}");
        assert!(bundle.x509_ders().count() <= 2 && bundle.jwt_authorities().len() <= 3, "day {day}");
        roots.insert(one.set().root(world.now()).unwrap().id().clone());
    }
    assert_eq!(roots.len(), 2, "the first, and the one that followed");
}

#[tokio::test]
async fn an_order_given_to_one_replica_is_carried_out_by_whichever_looks_first() {
    let world = World::new().await;
    let one = load(&world, Arc::clone(&world.store)).await.unwrap();
    let other = load(&world, Arc::clone(&world.store)).await.unwrap();
    let cause = crate::decisions::Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: String::new(),
    };
    let request = trust_domains::wire::authorities::ReplaceRequest {
        kind: AuthorityKind::X509Root,
        compromised: true,
        because: "a drill".to_owned(),
        dry_run: false,
    };
    let before = one.set().root(world.now()).unwrap().id().clone();
    let order = one.replace(&request, &cause).await.unwrap();
    other.look().await.unwrap();
    assert!(other.replacement_of(&order).unwrap().finished_at.is_some());
    assert_eq!(other.view(&before, &[]).unwrap().state, Phase::Revoked);
    one.look().await.unwrap();
    assert_eq!(one.replacements(), other.replacements());
    assert_eq!(one.bundle().borrow().x509_ders().count(), 1);
}
