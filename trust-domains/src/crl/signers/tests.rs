use super::super::testing::ListingCa;
use super::*;

/// A trust domain with a root and an issuing CA; all of them have the same names.
struct Domain {
    name: TrustDomain,
    root: ListingCa,
    issuing: ListingCa,
}

impl Domain {
    fn new(name: &str) -> Self {
        let root = ListingCa::root("root");
        let issuing = root.issuing("issuing");
        Self {
            name: name.parse().unwrap(),
            root,
            issuing,
        }
    }

    fn bundle(&self) -> TrustBundle {
        TrustBundle::new(self.name.clone()).with_x509_authority(self.root.public.der()).unwrap()
    }

    /// As whoever has an SVID of it knows it.
    fn known(&self) -> Signers {
        Signers::under(&self.bundle(), [self.issuing.public.clone()])
    }

    /// As a partner knows it.
    fn as_partners_know_it(&self) -> Signers {
        Signers::under(&self.bundle(), [])
    }

    fn lists(&self) -> [Crl; 2] {
        [self.root.list(1, &[1]), self.issuing.list(2, &[2])]
    }
}

fn all(lists: &[Crl]) -> Vec<&Crl> {
    lists.iter().collect()
}

#[test]
fn each_list_goes_to_the_trust_domain_whose_ca_signed_it_though_the_partners_copy_its_names() {
    let [own, one, two] = ["td.example", "one.test", "two.test"].map(Domain::new);
    let of = [own.lists(), one.lists(), two.lists()];
    // As a message has them, and mixed.
    for order in [[0, 1, 2, 3, 4, 5], [5, 0, 3, 1, 4, 2]] {
        let flat = of.concat();
        let lists: Vec<Crl> = order.iter().filter_map(|at| flat.get(*at).cloned()).collect();
        let divided = DividedLists::new(&lists, &[own.known(), one.as_partners_know_it(), two.known()]);
        let mut ours = divided.of(&own.name).to_vec();
        ours.sort_by_key(|list| list.number());
        assert_eq!(ours, all(&of[0]), "{order:?}");
        assert_eq!(divided.of(&one.name), [&of[1][0]], "its issuing CA is not known here");
        assert_eq!(divided.unproved().collect::<Vec<_>>(), [one.issuing.public.id()]);
        assert_eq!(divided.of(&two.name).len(), 2);
        for partner in [&own, &one, &two] {
            assert!(divided.all_of(&partner.name).is_empty(), "the one that is nobody's may be its");
        }
        let divided = DividedLists::new(&lists, &[own.known(), one.known(), two.known()]);
        assert!(divided.unproved().len() == 0 && [&own, &one, &two].iter().all(|domain| divided.all_of(&domain.name).len() == 2));
    }
    assert!(DividedLists::new(&of[0], &[own.known()]).of(&one.name).is_empty());
}

#[test]
fn a_list_under_the_name_and_key_identifier_of_a_ca_that_did_not_sign_it_is_nobodys() {
    let [own, partner] = ["td.example", "partner.test"].map(Domain::new);
    let mut forged = own.issuing.list(9, &[7]).der().to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let lists = [Crl::parse(forged).unwrap(), own.root.list(1, &[])];
    let divided = DividedLists::new(&lists, &[own.known(), partner.known()]);
    assert_eq!(divided.of(&own.name), [&lists[1]]);
    assert_eq!(divided.unproved().collect::<Vec<_>>(), [own.issuing.public.id()]);
}

#[test]
fn a_ca_that_is_shown_counts_only_if_it_chains_to_a_root_of_the_bundle() {
    let [own, partner] = ["td.example", "partner.test"].map(Domain::new);
    let (middle, stranger) = (own.root.issuing("middle"), partner.root.issuing("issuing"));
    let lowest = middle.issuing("lowest");
    let shown = [&lowest, &middle, &stranger, &partner.root].map(|ca| ca.public.clone());
    let ours = Signers::under(&own.bundle(), shown.clone());
    assert_eq!(ours.trust_domain(), &own.name);
    let lists = [&lowest, &middle, &stranger, &partner.root].map(|ca| ca.list(1, &[]));
    let divided = DividedLists::new(&lists, &[ours.clone(), partner.as_partners_know_it()]);
    assert_eq!(divided.of(&own.name), [&lists[0], &lists[1]]);
    assert_eq!(divided.of(&partner.name), [&lists[3]]);
    // What is remembered is judged anew: with its root, a CA goes.
    let ids = |signers: Signers| signers.into_cas().iter().map(|ca| ca.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(Signers::under(&own.bundle(), ours.clone().into_cas())), ids(ours.clone()));
    let another = TrustBundle::new(own.name.clone())
        .with_x509_authority(ListingCa::root("root").public.der())
        .unwrap();
    assert_eq!(Signers::under(&another, ours.into_cas()).into_cas().len(), 1);
}

#[test]
fn a_partner_that_takes_our_root_into_its_bundle_takes_no_list_from_us() {
    let [own, thief] = ["td.example", "thief.test"].map(Domain::new);
    let with_ours = thief.bundle().with_x509_authority(own.root.public.der()).unwrap();
    let lists = own.lists();
    let divided = DividedLists::new(&lists, &[Signers::under(&with_ours, []), own.known()]);
    assert_eq!(divided.of(&own.name), all(&lists));
    assert_eq!(divided.of(&thief.name), [&lists[0]]);
}

#[test]
fn where_one_trust_domain_is_known_the_lists_of_its_other_issuing_cas_are_its_own_too() {
    let own = Domain::new("td.example");
    let replica = own.root.issuing("replica");
    let lists = [own.root.list(1, &[]), own.issuing.list(1, &[]), replica.list(1, &[])];
    let alone = DividedLists::new(&lists, &[own.known()]);
    assert_eq!((alone.all_of(&own.name), alone.unproved().len()), (&*all(&lists), 0));
    let partner = Domain::new("partner.test");
    let beside = DividedLists::new(&lists, &[own.known(), partner.known()]);
    assert_eq!((beside.of(&own.name).len(), beside.unproved().len()), (2, 1), "it may be the partner's");
    assert_eq!(DividedLists::new(&lists, &[]).unproved().len(), 3);
}
