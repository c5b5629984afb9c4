//! Which partners' bundles a subscriber sees, and when it hears of them.

use trust_domains::TrustDomain;

use super::super::testing::bundle_of;
use super::super::{Federated, Update};
use super::*;

fn partners(view: &IdentityView) -> Vec<&str> {
    view.federated.keys().map(TrustDomain::as_str).collect()
}

fn with_bundles(counter: u64, upserted: Vec<NodeEntry>, bundles: &[&TrustBundle]) -> Update {
    Update {
        federated: Some(bundles.iter().map(|&bundle| bundle.clone()).collect::<Vec<_>>().into()),
        ..delta(counter, upserted, &[])
    }
}

fn federating(entry: NodeEntry, partners: &[&str]) -> NodeEntry {
    NodeEntry {
        federates_with: partners.iter().map(|name| name.parse().unwrap()).collect(),
        ..entry
    }
}

/// A world with an entry of user 1000 that federates with `one.test` and `two.test`, and one of user 7 that does not.
fn world(bundles: &[&TrustBundle]) -> World {
    let world = World::new();
    let entries = vec![federating(entry("a", 1), &["one.test", "two.test"]), for_user("b", 2, 7)];
    world.cache.apply(Update {
        federated: Some(bundles.iter().map(|&bundle| bundle.clone()).collect::<Vec<_>>().into()),
        ..snapshot(5, entries)
    });
    world.issue();
    world
}

#[tokio::test]
async fn a_subscriber_sees_the_partners_of_its_own_entries_and_others_hear_nothing() {
    let (one, two) = (bundle_of("one.test"), bundle_of("two.test"));
    let world = world(&[&one]);
    let (mut federating, mut other) = (world.cache.subscribe(user(1_000)), world.cache.subscribe(user(7)));
    assert_eq!(partners(&federating.next().await.unwrap()), ["one.test"]);
    assert!(other.next().await.unwrap().federated.is_empty());

    world.cache.apply(with_bundles(6, vec![], &[&one, &two]));
    let view = federating.next().await.unwrap();
    assert_eq!((partners(&view), view.revision), (vec!["one.test", "two.test"], revision(6)));
    assert_eq!(*view.federated[two.trust_domain()], two);
    let replaced = bundle_of("one.test");
    world.cache.apply(with_bundles(7, vec![], &[&replaced, &two]));
    assert_eq!(*federating.next().await.unwrap().federated[one.trust_domain()], replaced);
    world.cache.apply(with_bundles(8, vec![], &[&two]));
    assert_eq!(partners(&federating.next().await.unwrap()), ["two.test"], "a withdrawn partner is gone");

    world.cache.apply(with_bundles(9, vec![], &[&two.clone().with_sequence(7)]));
    world.cache.apply(with_bundles(10, vec![], &[&two, &bundle_of("nobodys.test")]));
    assert!(is_quiet(&mut federating).await, "the same keys of its own partners");
    assert!(is_quiet(&mut other).await, "who does not federate hears nothing of all this");
    assert_eq!(world.issue(), 0, "bundles cost no SVID");
    assert_eq!(world.acknowledgeable(), Some(10));
}

#[tokio::test]
async fn an_entry_that_changes_its_partners_keeps_its_svid() {
    let (one, two) = (bundle_of("one.test"), bundle_of("two.test"));
    let world = world(&[&one, &two]);
    let mut subscription = world.cache.subscribe(user(1_000));
    let before = subscription.next().await.unwrap();
    let changed = NodeEntry {
        revision: revision(6),
        ..federating(entry("a", 1), &["two.test"])
    };
    world.cache.apply(with_bundles(6, vec![changed], &[&two]));
    let after = subscription.next().await.unwrap();
    assert_eq!(partners(&after), ["two.test"]);
    assert!(std::sync::Arc::ptr_eq(&before.svids[0], &after.svids[0]));
    assert_eq!((world.issue(), world.acknowledgeable()), (0, Some(6)));

    let second = federating(
        NodeEntry {
            revision: revision(7),
            ..entry("c", 7)
        },
        &["one.test"],
    );
    world.cache.apply(with_bundles(7, vec![second], &[&one, &two]));
    world.issue();
    assert_eq!(
        partners(&subscription.next().await.unwrap()),
        ["one.test", "two.test"],
        "those of all its entries"
    );
    world.cache.apply(delta(8, vec![], &["c"]));
    assert_eq!(
        partners(&subscription.next().await.unwrap()),
        ["two.test"],
        "an entry that is gone takes its partners along"
    );
}

#[tokio::test]
async fn a_partner_of_every_entry_reaches_every_subscriber_and_is_withdrawn_from_every_one() {
    let (one, all) = (bundle_of("one.test"), bundle_of("all.test"));
    let world = world(&[&one]);
    let (mut naming, mut other) = (world.cache.subscribe(user(1_000)), world.cache.subscribe(user(7)));
    naming.next().await.unwrap();
    other.next().await.unwrap();
    let given = |counter, bundles: &[&TrustBundle], to_all: &[&TrustBundle]| {
        world.cache.apply(Update {
            federated: Some(Federated {
                bundles: bundles.iter().map(|&bundle| bundle.clone()).collect(),
                given_to_all: to_all.iter().map(|bundle| bundle.trust_domain().clone()).collect(),
            }),
            ..delta(counter, vec![], &[])
        });
    };
    given(6, &[&all, &one], &[&all]);
    assert_eq!(partners(&naming.next().await.unwrap()), ["all.test", "one.test"]);
    assert_eq!(partners(&other.next().await.unwrap()), ["all.test"], "whatever it names");
    let replaced = bundle_of("all.test");
    given(7, &[&replaced, &one], &[&all]);
    assert_eq!(*other.next().await.unwrap().federated[all.trust_domain()], replaced);
    naming.next().await.unwrap();
    given(8, &[&replaced, &one], &[]);
    assert!(other.next().await.unwrap().federated.is_empty(), "who does not name it loses it");
    assert_eq!(partners(&naming.next().await.unwrap()), ["one.test"]);
    given(9, &[&one], &[]);
    assert!(is_quiet(&mut naming).await && is_quiet(&mut other).await);
    assert_eq!((world.issue(), world.acknowledgeable()), (0, Some(9)), "bundles cost no SVID");
}

#[tokio::test]
async fn a_node_that_is_no_longer_who_it_was_forgets_its_partners() {
    let one = bundle_of("one.test");
    let world = world(&[&one]);
    world.cache.start_anew();
    world.cache.apply(delta(9, vec![federating(entry("a", 1), &["one.test"])], &[]));
    world.cache.apply(Update {
        federated: None,
        ..snapshot(10, vec![federating(entry("a", 1), &["one.test"])])
    });
    world.issue();
    assert!(world.cache.subscribe(user(1_000)).next().await.unwrap().federated.is_empty());
}
