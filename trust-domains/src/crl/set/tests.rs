use super::super::testing::{ListingCa, serial};
use super::super::{CrlRefused, PatchRefused};
use super::*;

struct World {
    root: ListingCa,
    issuing: ListingCa,
    of_root: Crl,
}

impl World {
    fn new() -> Self {
        let root = ListingCa::root("root");
        let issuing = root.issuing("issuing");
        let of_root = root.list(1, &[]);
        Self { root, issuing, of_root }
    }

    fn set(&self, number: u64, serials: &[u128]) -> CrlSet {
        let of_root = (self.root.public.clone(), self.of_root.clone());
        CrlSet::new([of_root, (self.issuing.public.clone(), self.issuing.list(number, serials))]).unwrap()
    }

    fn bundle(&self) -> TrustBundle {
        TrustBundle::new("td.example".parse().unwrap())
            .with_x509_authority(self.root.public.der())
            .unwrap()
    }
}

#[test]
fn a_set_travels_whole_and_by_changes() {
    let world = World::new();
    let (one, two) = (world.set(1, &[1]), world.set(2, &[1, 2]));
    assert_eq!(CrlSet::read(&one.whole()), Ok(one.clone()));
    let change = one.change_to(&two);
    assert!(matches!(&change, CrlsChange::Changed { added, patches, removed } if added.is_empty() && patches.len() == 1 && removed.is_empty()));
    assert_eq!(one.changed(&change), Ok(Some(two.clone())));
    assert!(two.revokes(world.issuing.public.id(), &serial(2)) && !two.revokes(world.root.public.id(), &serial(2)));
    assert_eq!(two.changed(&CrlsChange::Whole(one.whole())), Ok(Some(one.clone())));
    assert_eq!(one.changed(&CrlsChange::Withdrawn), Ok(None));
    assert_eq!(two.highest_number(), 2);
}

#[test]
fn lists_come_and_go_with_their_cas() {
    let world = World::new();
    let before = world.set(1, &[1]);
    let next = world.root.issuing("next");
    let after = CrlSet::new([
        (world.root.public.clone(), before.list_of(world.root.public.id()).unwrap().clone()),
        (next.public.clone(), next.list(2, &[])),
    ]);
    let after = after.unwrap();
    let change = before.change_to(&after);
    assert_eq!(before.changed(&change), Ok(Some(after.clone())));
    assert_eq!(
        after.changed(&change),
        Err(CrlSetRefused::NotHeld {
            issuer: world.issuing.public.id().clone()
        })
    );
}

#[test]
fn a_change_never_goes_back_and_fits_only_its_set() {
    let world = World::new();
    let (one, two, three) = (world.set(1, &[1]), world.set(2, &[1, 2]), world.set(3, &[]));
    assert!(matches!(two.changed(&two.change_to(&one)), Err(CrlSetRefused::NumberNotAbove { .. })));
    assert!(matches!(
        three.changed(&one.change_to(&two)),
        Err(CrlSetRefused::Patch(PatchRefused::OtherList { .. }))
    ));
}

#[test]
fn a_list_of_another_ca_or_twice_the_same_is_refused() {
    let (world, other) = (World::new(), World::new());
    let mixed = CrlSet::new([(world.root.public.clone(), other.root.list(1, &[]))]);
    assert!(matches!(mixed, Err(CrlSetRefused::List(CrlRefused::OtherIssuer { .. }))));
    let of_root = || (world.root.public.clone(), world.root.list(1, &[]));
    assert!(matches!(CrlSet::new([of_root(), of_root()]), Err(CrlSetRefused::Twice { .. })));
}

#[test]
fn what_does_not_belong_to_the_bundle_is_left_out_and_a_root_without_list_is_named() {
    let (world, other) = (World::new(), World::new());
    let (own, foreign) = (world.set(1, &[1]), other.set(1, &[1]));
    let lists = |set: &CrlSet| set.lists().map(|(issuer, crl)| (issuer.clone(), crl.clone())).collect::<Vec<_>>();
    let both = CrlSet::new([lists(&own), lists(&foreign)].concat()).unwrap();
    assert_eq!(both.under(&world.bundle()), own);
    assert_eq!(own.roots_without_list(&world.bundle()).count(), 0);
    assert_eq!(foreign.roots_without_list(&world.bundle()).count(), 1);
    let elsewhere = TrustBundle::new("other.example".parse().unwrap());
    let elsewhere = elsewhere.with_x509_authority(world.root.public.der()).unwrap();
    assert_eq!(
        foreign.roots_without_list(&elsewhere).count(),
        0,
        "an upstream authority's root, which does not name the trust domain, has lists of its own"
    );
}
