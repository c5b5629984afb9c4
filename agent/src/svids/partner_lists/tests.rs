use std::time::Duration;

use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::wire::crls::CrlsWhole;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{SelectorSet, Timestamp};

use super::*;
use crate::svids::SvidCache;
use crate::svids::state::Update;
use crate::svids::testing::{bundle_of, delta, entry, issue_all, snapshot, with_empty_list};

struct World {
    clock: ManualClock,
    cache: SvidCache,
    counter: u64,
}

impl World {
    /// One entry that federates with `one.test`, whose bundle is here.
    fn new(bundle: &TrustBundle) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_790_000_000));
        let cache = SvidCache::new(Arc::new(clock.clone()));
        let federating = NodeEntry {
            federates_with: vec!["one.test".parse().unwrap()],
            ..entry("web", 1)
        };
        cache.apply(Update {
            federated: Some(vec![bundle.clone()].into()),
            ..snapshot(1, vec![federating])
        });
        issue_all(&cache, clock.now());
        Self { clock, cache, counter: 1 }
    }

    fn told(&mut self, bundles: Option<&[&TrustBundle]>, lists: &[(&str, &CrlSet)]) {
        self.counter += 1;
        let lists: Vec<PartnerCrls> = lists.iter().map(|(partner, set)| wire(partner, set.whole())).collect();
        self.cache.apply(Update {
            federated: bundles.map(|bundles| bundles.iter().map(|&bundle| bundle.clone()).collect::<Vec<_>>().into()),
            federated_crls: read(&lists),
            ..delta(self.counter, Vec::new(), &[])
        });
    }

    /// Returns how many lists of the partner a process is given.
    async fn lists(&self) -> usize {
        let process: SelectorSet = std::iter::once("unix:uid:1000".parse().unwrap()).collect();
        let view = self.cache.subscribe(process).next().await.unwrap();
        view.crls_of(&"one.test".parse().unwrap()).ders().len()
    }
}

fn wire(partner: &str, lists: CrlsWhole) -> PartnerCrls {
    PartnerCrls {
        trust_domain: partner.parse().unwrap(),
        lists,
    }
}

#[tokio::test]
async fn lists_come_go_and_stay_with_the_bundle_of_their_partner() {
    let (bundle, set) = with_empty_list("one.test");
    let mut world = World::new(&bundle);
    assert_eq!(world.lists().await, 0);
    world.told(Some(&[&bundle]), &[("one.test", &set)]);
    assert_eq!(world.lists().await, 1);
    world.told(Some(&[&bundle, &bundle_of("two.test")]), &[]);
    assert_eq!(world.lists().await, 1, "what is not named stays");
    world.told(Some(&[&bundle]), &[("one.test", &CrlSet::default())]);
    assert_eq!(world.lists().await, 0, "withdrawn");
    world.told(Some(&[&bundle]), &[("one.test", &set)]);
    world.told(Some(&[]), &[]);
    world.told(Some(&[&bundle]), &[]);
    assert_eq!(world.lists().await, 0, "they went with the bundle");
}

#[tokio::test]
async fn lists_of_another_root_are_not_delivered_with_a_bundle() {
    let (bundle, set) = with_empty_list("one.test");
    let (_, foreign) = with_empty_list("one.test");
    let mut world = World::new(&bundle);
    world.told(Some(&[&bundle]), &[("one.test", &foreign)]);
    assert_eq!(world.lists().await, 0);
    world.told(Some(&[&bundle]), &[("two.test", &set)]);
    assert_eq!(world.lists().await, 0, "named for another partner");
    world.told(Some(&[&bundle]), &[("one.test", &set)]);
    world.told(Some(&[&bundle_of("one.test")]), &[]);
    assert_eq!(world.lists().await, 0, "the root is not in the bundle any more");
}

#[tokio::test]
async fn lists_that_cannot_be_read_cost_nothing_else() {
    let (bundle, set) = with_empty_list("one.test");
    let mut world = World::new(&bundle);
    let mut broken = set.whole();
    broken.lists.iter_mut().for_each(|list| list.crl.0.truncate(20));
    let read = read(&[wire("one.test", broken), wire("two.test", set.whole())]);
    assert_eq!(read.iter().map(|(_, set)| set.len()).collect::<Vec<_>>(), [0, 1]);
    world.told(Some(&[&bundle]), &[("one.test", &set)]);
    assert_eq!(world.lists().await, 1);
}

#[tokio::test]
async fn lists_that_have_ended_are_withdrawn_without_a_word_of_the_server() {
    let (bundle, set) = with_empty_list("one.test");
    let mut world = World::new(&bundle);
    world.told(Some(&[&bundle]), &[("one.test", &set)]);
    let ends_at = set.ends_at().unwrap();
    let left = Duration::from_secs(ends_at.unix().abs_diff(world.clock.now().wall.unix()));
    // The own SVIDs are renewed until then.
    world.clock.advance(left - Duration::from_secs(1));
    issue_all(&world.cache, world.clock.now());
    assert_eq!(world.lists().await, 1);
    world.clock.advance(Duration::from_secs(1));
    issue_all(&world.cache, world.clock.now());
    assert_eq!(world.lists().await, 0);
}
