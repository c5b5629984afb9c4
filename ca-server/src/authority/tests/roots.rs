//! The planned life of roots, over a real store and journal.

use trust_domains::x509::verify_svid;

use super::*;

#[tokio::test]
async fn through_a_change_of_roots_every_leaf_is_believed_by_whoever_saw_the_bundle_of_the_day_before() {
    let mut world = World::new().await;
    let mut entry = world.entry(|_| {});
    world.clock.advance(HOUR * 24 * 280);
    world.authorities.look().await.unwrap();
    let mut before = world.authorities.bundle().borrow().clone();
    let mut roots = std::collections::BTreeSet::new();
    let mut most = 0;
    for day in 280..345 {
        world.clock.advance(HOUR * 24);
        world.authorities.look().await.unwrap();
        let (_, chain) = world.issued(&entry).await;
        verify_svid(&chain, &before, world.now()).unwrap_or_else(|error| panic!("day {day}: {error}"));
        let now = world.authorities.bundle().borrow().clone();
        verify_svid(&chain, &now, world.now()).unwrap();
        assert!(now.sequence() >= before.sequence() && now.x509_ders().count() <= 2, "day {day}");
        most = most.max(now.x509_ders().count());
        assert_eq!(*world.authorities.problems().borrow(), Arc::from([]), "day {day}");
        before = now;
        roots.insert(world.authorities.active_root().unwrap().to_vec());
        if day == 310 {
            world = world.restarted().await;
            entry = world.entry(|_| {});
        }
    }
    assert_eq!((roots.len(), most), (2, 2), "the first, and the one that followed");
    assert_eq!(before.x509_ders().count(), 1, "the first is gone: nothing under it is valid");
    assert_eq!(world.authorities.join_roots().len(), 1);
}

#[tokio::test]
async fn a_record_of_a_ca_from_before_there_were_successors_is_read_and_written_as_it_was() {
    let world = World::new().await;
    let items = world.store.snapshot(Prefix::AUTHORITIES).await.unwrap().items;
    for item in &items {
        let stored: serde_json::Value = world.authorities.records.open_item(item).unwrap();
        let names: Vec<_> = stored.as_object().unwrap().keys().cloned().collect();
        assert!(!names.iter().any(|name| name == "notes"), "{names:?}");
        let is_token = stored["kind"] == "jwt";
        assert_eq!(names.iter().any(|name| name == "published_at"), is_token, "{names:?}");
        assert_eq!(stored["format"], 1);
    }
}
