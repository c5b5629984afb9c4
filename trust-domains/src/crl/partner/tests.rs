use std::time::Duration;

use super::super::testing::{ListingCa, serial};
use super::*;
use crate::problem::{Code, Coded as _};
use crate::x509::testing::NOW;
use crate::x509::to_pem;

const DAY: Duration = Duration::from_secs(86_400);

struct Partner {
    root: ListingCa,
    issuing: ListingCa,
}

impl Partner {
    fn new() -> Self {
        let root = ListingCa::root("root");
        let issuing = root.issuing("issuing");
        Self { root, issuing }
    }

    fn bundle(&self) -> TrustBundle {
        bundle(&[&self.root])
    }

    /// Returns what it publishes: both lists, and the certificate of the issuing CA.
    fn published(&self, number: u64, serials: &[u128]) -> String {
        let lists = [self.root.list(number, &[]), self.issuing.list(number, serials)];
        lists.iter().map(crl_pem).chain([to_pem(self.issuing.public.der())]).collect()
    }

    fn held(&self, number: u64, serials: &[u128]) -> CrlSet {
        CrlSet::of_partner(&self.bundle(), &read(&self.published(number, serials)), &CrlSet::default(), NOW).unwrap()
    }
}

fn bundle(roots: &[&ListingCa]) -> TrustBundle {
    let empty = TrustBundle::new("td.example".parse().unwrap());
    roots.iter().fold(empty, |bundle, root| bundle.with_x509_authority(root.public.der()).unwrap())
}

fn crl_pem(crl: &Crl) -> String {
    pem::encode(&pem::Pem::new(CRL_LABEL, crl.der().to_vec()))
}

fn read(text: &str) -> FetchedCrls {
    FetchedCrls::parse(text.as_bytes()).unwrap()
}

#[test]
fn lists_in_pem_with_the_issuing_cas_make_a_complete_set() {
    let partner = Partner::new();
    let set = partner.held(1, &[7]);
    assert_eq!(set.len(), 2);
    assert!(set.revokes(partner.issuing.public.id(), &serial(7)));
    assert_eq!(CrlSet::read_of_partner(&set.whole()).unwrap(), set);
    assert_eq!(set.under(&partner.bundle()), set);
}

#[test]
fn lists_in_der_one_after_the_other_are_read() {
    let (one, two) = (ListingCa::root("one"), ListingCa::root("two"));
    let document = [one.list(1, &[1]).der().to_vec(), two.list(1, &[]).der().to_vec()].concat();
    let fetched = FetchedCrls::parse(&document).unwrap();
    let set = CrlSet::of_partner(&bundle(&[&one, &two]), &fetched, &CrlSet::default(), NOW).unwrap();
    assert_eq!(set.len(), 2);
    let cut = document.get(..document.len() - 1).unwrap();
    assert_eq!(FetchedCrls::parse(cut).unwrap_err().code(), Code::CrlRefused);
}

#[test]
fn a_chain_of_cas_is_followed_whatever_their_order() {
    let root = ListingCa::root("root");
    let middle = root.issuing("middle");
    let lowest = middle.issuing("lowest");
    let lists = [lowest.list(1, &[3]), middle.list(1, &[]), root.list(1, &[])];
    let certificates = [&lowest, &middle].map(|ca| to_pem(ca.public.der()));
    let text: String = lists.iter().map(crl_pem).chain(certificates).collect();
    let set = CrlSet::of_partner(&bundle(&[&root]), &read(&text), &CrlSet::default(), NOW).unwrap();
    assert!(set.revokes(lowest.public.id(), &serial(3)));
    assert_eq!(set.under(&bundle(&[&root])), set);
    assert!(set.under(&bundle(&[&ListingCa::root("root")])).is_empty(), "of another root with that name");
}

#[test]
fn a_list_whose_serials_are_in_any_order_is_read_and_looked_up() {
    let partner = Partner::new();
    let der = partner.issuing.list_der(1, &[1, 2, 3], |params| params.revoked_certs.reverse());
    assert!(Crl::parse(der.clone()).is_err(), "our own CAs write them in order");
    let crl = Crl::parse_in_any_order(der).unwrap();
    assert!([1, 2, 3].into_iter().all(|number| crl.revokes(&serial(number))) && !crl.revokes(&serial(4)));
}

#[test]
fn what_is_not_the_partners_is_refused_whole() {
    let (partner, other) = (Partner::new(), Partner::new());
    let own_root = crl_pem(&partner.root.list(1, &[]));
    let with = |foreign: String| format!("{own_root}{foreign}");
    let unknown = |ca: &ListingCa| PartnerCrlsRefused::UnknownCa {
        issuer: ca.public.id().clone(),
    };
    let refused = |text: String| CrlSet::of_partner(&partner.bundle(), &read(&text), &CrlSet::default(), NOW).unwrap_err();
    // Another domain's, with the same names, with and without their CA.
    assert_eq!(refused(other.published(1, &[1])), unknown(&other.root));
    let foreign = format!("{}{}", crl_pem(&other.issuing.list(1, &[])), to_pem(other.issuing.public.der()));
    assert_eq!(refused(with(foreign)), unknown(&other.issuing));
    // The CA did not come along.
    assert_eq!(refused(with(crl_pem(&partner.issuing.list(1, &[])))), unknown(&partner.issuing));
    // Signed by another key under the name and key identifier of the root.
    let mut forged = partner.root.list(1, &[]).der().to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let forged = crl_pem(&Crl::parse(forged).unwrap());
    assert!(matches!(
        refused(forged),
        PartnerCrlsRefused::List(CrlSetRefused::List(CrlRefused::Signature { .. }))
    ));
    // Twice the same CA.
    assert!(matches!(refused(with(own_root.clone())), PartnerCrlsRefused::List(CrlSetRefused::Twice { .. })));
}

#[test]
fn a_missing_list_refuses_the_others() {
    let partner = Partner::new();
    let only = |text: String| CrlSet::of_partner(&partner.bundle(), &read(&text), &CrlSet::default(), NOW).unwrap_err();
    let of_issuing = format!("{}{}", crl_pem(&partner.issuing.list(1, &[])), to_pem(partner.issuing.public.der()));
    assert_eq!(only(of_issuing).code(), Code::CrlIncomplete, "the root's");
    let of_root = format!("{}{}", crl_pem(&partner.root.list(1, &[])), to_pem(partner.issuing.public.der()));
    assert_eq!(only(of_root).code(), Code::CrlIncomplete, "that of the CA that came along");
}

#[test]
fn a_number_never_goes_back_and_a_list_left_out_stays() {
    let partner = Partner::new();
    let held = partner.held(5, &[7]);
    let take = |text: String| CrlSet::of_partner(&partner.bundle(), &read(&text), &held, NOW);
    let older = take(partner.published(4, &[])).unwrap_err();
    assert_eq!(older.code(), Code::CrlOutdated, "{older}");
    assert_eq!(take(partner.published(6, &[7, 8])).unwrap().highest_number(), 6);
    let root_only = take(crl_pem(&partner.root.list(6, &[]))).unwrap();
    assert!(root_only.revokes(partner.issuing.public.id(), &serial(7)));
    let renewed = CrlSet::of_partner(&bundle(&[&ListingCa::root("new")]), &read(&partner.published(6, &[])), &held, NOW);
    assert!(matches!(renewed, Err(PartnerCrlsRefused::UnknownCa { .. })), "after its root was taken away");
}

#[test]
fn a_list_that_ended_before_its_ca_refuses_the_set_and_one_of_an_ended_ca_is_left_out() {
    let partner = Partner::new();
    let short = |params: &mut rcgen::CertificateRevocationListParams| params.next_update = (NOW + DAY).to_offset_date_time();
    let of_issuing = Crl::parse(partner.issuing.list_der(1, &[], short)).unwrap();
    let text = format!(
        "{}{}{}",
        crl_pem(&partner.root.list(1, &[])),
        crl_pem(&of_issuing),
        to_pem(partner.issuing.public.der())
    );
    let at = |now| CrlSet::of_partner(&partner.bundle(), &read(&text), &CrlSet::default(), now);
    assert_eq!(at(NOW).unwrap().ends_at(), Some(NOW + DAY));
    assert_eq!(at(NOW + DAY).unwrap_err().code(), Code::CrlEnded);
    assert_eq!(partner.held(1, &[]).ends_at(), None, "they end with their CAs");
    let after_all = at(NOW + 8 * DAY).unwrap();
    assert!(after_all.is_empty(), "nothing of ended CAs is of use");
}

#[test]
fn documents_that_are_no_lists_are_refused() {
    let certificate = to_pem(Partner::new().issuing.public.der());
    let huge = vec![b'x'; MAX_PARTNER_CRLS + 1];
    let unknown = pem::encode(&pem::Pem::new("PRIVATE KEY", vec![1]));
    for document in [
        &b""[..],
        b"0",
        b"{}",
        certificate.as_bytes(),
        &huge,
        unknown.as_bytes(),
        b"-----BEGIN X509 CRL-----",
    ] {
        let refused = FetchedCrls::parse(document).unwrap_err();
        assert_eq!(refused.code(), Code::CrlRefused, "{refused}");
    }
    let crl = crl_pem(&ListingCa::root("root").list(1, &[]));
    let many = crl.repeat(MAX_LISTS + 1);
    assert!(matches!(
        FetchedCrls::parse(many.as_bytes()),
        Err(PartnerCrlsRefused::List(CrlSetRefused::TooMany { .. }))
    ));
}
